"""The dashboard's files, served: types, caching, compression, and nothing but those files."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from oq.http.site import POLICY, Site
from tests.support.http import Api, api, live

HTML = "text/html,application/xhtml+xml,*/*;q=0.8"
INDEX = b"<!doctype html><title>oq</title>" + b"<p>dashboard</p>" * 100
SCRIPT = b"console.log('a dashboard');\n" * 200
FONT = b"wOF2" + bytes(range(256))


@pytest.fixture
def build(tmp_path: Path) -> Path:
    """What a build leaves."""
    directory = tmp_path / "static"
    (directory / "assets").mkdir(parents=True)
    (directory / "index.html").write_bytes(INDEX)
    (directory / "assets" / "index-B4s1cH4sh.js").write_bytes(SCRIPT)
    (directory / "assets" / "font-B4s1cH4sh.woff2").write_bytes(FONT)
    (directory / "assets" / "tiny-B4s1cH4sh.css").write_bytes(b"a{}")
    (tmp_path / "secret.txt").write_text("secret")
    return directory


@asynccontextmanager
async def built(build: Path) -> AsyncIterator[Api]:
    async with api() as oq:
        oq.app.context.site = Site(build)
        yield oq


def move(directory: Path, where: Path) -> Path:
    return directory.rename(where)


async def test_a_browser_gets_the_page(build: Path):
    async with built(build) as oq:
        reply = await oq.get("/", Accept=HTML)
        assert (reply.status, reply.body) == (200, INDEX)
        headers = reply.headers
        assert headers["Content-Type"] == "text/html; charset=utf-8"
        assert headers.get_list("Content-Security-Policy") == [POLICY]
        assert headers.get_list("Cache-Control") == ["no-cache"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert (await oq.get("/?status=failed", Accept=HTML)).body == INDEX


def test_the_policy_lets_nothing_in():
    rules = dict(rule.strip().split(" ", 1) for rule in POLICY.split(";"))
    assert rules["default-src"] == "'none'"
    assert "unsafe" not in POLICY
    assert "*" not in POLICY
    assert rules["frame-ancestors"] == rules["base-uri"] == "'none'"


async def test_everybody_else_gets_what_ollama_says(build: Path):
    async with built(build) as oq:
        reply = await oq.get("/", Accept="*/*")
        assert reply.body == b"Ollama is running"
        assert reply.headers["Vary"] == "Accept"


async def test_the_page_is_not_sent_again_while_it_is_the_same(build: Path):
    async with built(build) as oq:
        tag = (await oq.get("/", Accept=HTML)).headers["ETag"]
        again = await oq.get("/", Accept=HTML, If_None_Match=tag)
        assert (again.status, again.body) == (304, b"")
        assert again.headers["ETag"] == tag
        assert (await oq.get("/", Accept=HTML, If_None_Match='W/"other"')).status == 200


@pytest.mark.parametrize(
    ("name", "content_type", "content"),
    [
        ("index-B4s1cH4sh.js", "text/javascript; charset=utf-8", SCRIPT),
        ("font-B4s1cH4sh.woff2", "font/woff2", FONT),
        ("tiny-B4s1cH4sh.css", "text/css; charset=utf-8", b"a{}"),
    ],
)
async def test_assets_are_kept_for_ever(build: Path, name: str, content_type: str, content: bytes):
    async with built(build) as oq:
        reply = await oq.get(f"/assets/{name}")
        assert (reply.status, reply.body) == (200, content)
        assert reply.headers["Content-Type"] == content_type
        assert reply.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert reply.headers["X-Content-Type-Options"] == "nosniff"


async def test_what_gets_smaller_is_compressed_for_who_takes_it(build: Path):
    async with built(build) as oq:
        zipped = await oq.get("/assets/index-B4s1cH4sh.js", Accept_Encoding="br, gzip")
        assert zipped.headers["Content-Encoding"] == "gzip"
        assert zipped.headers["Vary"] == "Accept-Encoding"
        assert gzip.decompress(zipped.body) == SCRIPT
        for refusal in ("br", "gzip;q=0"):
            plain = await oq.get("/assets/index-B4s1cH4sh.js", Accept_Encoding=refusal)
            assert "Content-Encoding" not in plain.headers
            assert plain.body == SCRIPT
        for packed in ("font-B4s1cH4sh.woff2", "tiny-B4s1cH4sh.css"):
            reply = await oq.get(f"/assets/{packed}", Accept_Encoding="gzip")
            assert "Content-Encoding" not in reply.headers


@pytest.mark.parametrize(
    "path",
    [
        "/assets/",
        "/assets/none.js",
        "/assets/../index.html",
        "/assets/../../secret.txt",
        "/assets/..%2f..%2fsecret.txt",
        "/assets/%2e%2e/%2e%2e/secret.txt",
        "/assets/..\\..\\secret.txt",
        "/assets/index-B4s1cH4sh.js/",
        "/assets//index-B4s1cH4sh.js",
        "/assets/%00",
        "/index.html",
        "/static/index.html",
    ],
)
async def test_there_is_nothing_but_the_files_of_the_build(build: Path, path: str):
    async with built(build) as oq:
        reply = await oq.get(path, Accept=HTML)
        assert reply.status == 404
        assert "there is nothing at" in reply.error


async def test_without_a_build_it_says_how_to_make_one(tmp_path: Path):
    async with api() as oq:
        oq.app.context.site = Site(tmp_path / "none")
        reply = await oq.get("/", Accept=HTML)
        assert reply.status == 200
        assert reply.headers["Content-Type"].startswith("text/html")
        assert b"make page" in reply.body
        assert b"/openapi.json" in reply.body
        assert "'unsafe-inline'" not in reply.headers["Content-Security-Policy"]
        assert len(reply.headers.get_list("Content-Security-Policy")) == 1
        assert (await oq.get("/assets/index.js")).status == 404
        assert (await oq.get("/api/status")).status == 200


async def test_a_build_is_taken_as_soon_as_it_is_there(build: Path, tmp_path: Path):
    away = move(build, tmp_path / "away")
    async with built(build) as oq:
        assert b"make page" in (await oq.get("/", Accept=HTML)).body
        move(away, build)
        assert (await oq.get("/", Accept=HTML)).body == INDEX
        assert (await oq.get("/assets/index-B4s1cH4sh.js")).body == SCRIPT


async def test_a_new_build_takes_the_place_of_the_old_one(build: Path):
    async with built(build) as oq:
        first = await oq.get("/", Accept=HTML)
        (build / "index.html").unlink()
        (build / "assets" / "index-B4s1cH4sh.js").unlink()
        # While it is being made, the old one goes on, also what nobody has asked for yet.
        assert (await oq.get("/", Accept=HTML)).body == INDEX
        assert (await oq.get("/assets/index-B4s1cH4sh.js")).body == SCRIPT
        (build / "assets" / "index-4n0th3r.js").write_bytes(b"new")
        (build / "index.html").write_bytes(INDEX + b"new")
        again = await oq.get("/", Accept=HTML, If_None_Match=first.headers["ETag"])
        assert (again.status, again.body) == (200, INDEX + b"new")
        assert (await oq.get("/assets/index-4n0th3r.js")).body == b"new"
        assert (await oq.get("/assets/index-B4s1cH4sh.js")).status == 404


async def test_a_page_that_came_before_its_files_finds_them(build: Path):
    script = build / "assets" / "index-B4s1cH4sh.js"
    script.unlink()
    async with built(build) as oq:
        assert (await oq.get("/", Accept=HTML)).status == 200
        assert (await oq.get("/assets/index-B4s1cH4sh.js")).status == 404
        script.write_bytes(SCRIPT)
        assert (await oq.get("/assets/index-B4s1cH4sh.js")).body == SCRIPT


async def test_head_is_answered_without_a_body(build: Path):
    async with live() as oq:
        oq.app.context.site = Site(build)
        for path, length in (("/", len(INDEX)), ("/assets/index-B4s1cH4sh.js", len(SCRIPT))):
            answer = await oq.talk(
                f"HEAD {path} HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\n"
                "Connection: close\r\n\r\n".encode()
            )
            head, _, body = answer.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200")
            assert f"content-length: {length}".encode() in head.lower()
            assert body == b""

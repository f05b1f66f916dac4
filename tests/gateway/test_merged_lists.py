"""Several backends: a list of models is the list of all that are up."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import trio

from oq.backends.simulated import Simulator
from oq.backends.transport import MAX_LIST
from oq.queue import model_lists
from tests.support.gateway import Site, serving, site
from tests.support.several import fleet, known

LISTS = [("/api/tags", "models", "name"), ("/v1/models", "data", "id")]
PATHS = pytest.mark.parametrize(("path", "member", "name"), LISTS)
TYPE = "content-type"


def named(answer: httpx.Response, member: str, name: str) -> list[str]:
    assert answer.status_code == 200
    return [entry[name] for entry in answer.json()[member]]


@asynccontextmanager
async def canned(
    status: str, body: bytes | None, *, length: int | None = None
) -> AsyncIterator[str]:
    """The URL of a server that answers everybody the same; nothing at all if there is no body."""

    async def answer(stream: trio.SocketStream) -> None:
        await stream.receive_some(10_000)
        if body is None:
            await trio.sleep_forever()
        size = len(body) if length is None else length
        head = f"HTTP/1.1 {status}\r\nContent-Type: text/x-odd\r\nContent-Length: {size}\r\n\r\n"
        try:
            await stream.send_all(head.encode() + body)
            await stream.aclose()
        except trio.BrokenResourceError:
            pass  # it had enough

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        await nursery.start(trio.serve_listeners, answer, listeners)
        yield f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        nursery.cancel_scope.cancel()


def point(here: Site, name: str, url: str) -> None:
    """From now on the backend of this name is there."""
    here.queue._core.by_name[name]._transport.url = url


@PATHS
@pytest.mark.parametrize(
    "kinds", [("ollama", "ollama"), ("ollama", "openai"), ("openai", "ollama")]
)
async def test_it_has_the_models_of_all_each_once(path, member, name, kinds):
    async with fleet(["a", "both"], ["both", "b"], kinds=kinds) as (here, _):
        answer = await here.oq.get(path)
        assert sorted(named(answer, member, name)) == ["a", "b", "both"]
        assert answer.headers["Content-Length"] == str(len(answer.content))
        head = await here.oq.head(path)
        assert (head.status_code, head.content) == (200, b"")
        for header in ("Content-Length", "Content-Type"):
            assert head.headers[header] == answer.headers[header]


@PATHS
async def test_each_entry_is_as_its_backend_sent_it(path, member, name):
    async with fleet(["a", "both"], ["both", "b"]) as (here, _):
        answer = await here.oq.get(path)
        direct = (await here.direct.get(path)).content
        entries = direct[direct.index(b"[") : direct.rindex(b"]")]
        assert entries in answer.content
        assert answer.headers[TYPE] == (await here.direct.get(path)).headers[TYPE]


async def test_what_is_in_memory_is_that_of_all():
    async with fleet(["a"], ["b"]) as (here, _):
        for model in ("b", "a"):
            await here.oq.post("/api/generate", json={"model": model, "prompt": "x"})
        assert named(await here.oq.get("/api/ps"), "models", "name") == ["a", "b"]


ODD: dict[str, tuple[str, bytes]] = {
    "no JSON": ("200 OK", b"hello"),
    "a page": ("200 OK", b"<html>"),
    "nothing": ("200 OK", b""),
    "an object": ("200 OK", b"{}"),
    "an error": ("200 OK", b'{"error":"x"}'),
    "wrong types": ("200 OK", b'{"models":7,"data":"x"}'),
    "wrong entries": ("200 OK", b'{"models":[7,null,{"name":7}],"data":[7,null,{"id":7}]}'),
    "empty": ("200 OK", b'{"models":null,"data":null}'),
    "deep": ("200 OK", b'{"models":' + b"[" * 100_000),
    "huge": ("200 OK", b'{"models":[' + b" " * MAX_LIST + b'],"data":[]}'),
    "not here": ("404 Not Found", b'{"models":[{"name":"x"}],"data":[{"id":"x"}]}'),
    "broken": ("500 Broken", b"sorry"),
    "in part": ("206 Partial Content", b'{"models":[{"name":"x"}],"data":[{"id":"x"}]}'),
}


@PATHS
@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
async def test_one_that_answers_nonsense_is_left_out(path, member, name, odd, monkeypatch):
    # It is that of the others, too: they are in this process, which may be slow beside others.
    monkeypatch.setattr(model_lists, "TIMEOUT", 30)
    await check_left_out(path, member, name, *odd)


@PATHS
async def test_one_that_does_not_answer_is_left_out(path, member, name, clock):
    await check_left_out(path, member, name, "", None)


async def check_left_out(path: str, member: str, name: str, *odd: Any) -> None:
    """The list is that of the others, wherever the odd one stands."""
    async with fleet(["a"], ["b"], ["c"]) as (here, _), canned(*odd) as url:
        point(here, "b", url)
        assert named(await here.oq.get(path), member, name) == ["b", "c"]
    async with fleet(["a"], ["b"], ["c"]) as (here, _), canned(*odd) as url:
        point(here, "b3", url)
        assert named(await here.oq.get(path), member, name) == ["a", "b"]


async def test_one_that_breaks_off_or_is_gone_is_left_out():
    async with fleet(["a"], ["b"], ["c"]) as (here, _):
        async with canned("200 OK", b'{"models":[{"name":"x"}]}', length=100) as url:
            point(here, "b", url)
            point(here, "b2", "http://127.0.0.1:1")
            assert named(await here.oq.get("/api/tags"), "models", "name") == ["c"]
        with trio.fail_after(5):
            while here.queue.status().backends[1].up:
                await trio.lowlevel.checkpoint()
        assert named(await here.oq.get("/api/tags"), "models", "name") == ["c"]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_if_nobody_has_a_list_the_first_ones_own_answer_is_the_answer(method):
    async with (
        fleet(["a"], ["b"]) as (here, _),
        canned("418 I am a teapot", b'{"error":"first"}') as one,
        canned("500 Broken", b"second") as two,
    ):
        point(here, "b", one)
        point(here, "b2", two)
        answer = await here.oq.request(method, "/api/tags")
        assert answer.status_code == 418
        assert answer.headers[TYPE] == "text/x-odd"
        assert answer.content == (b'{"error":"first"}' if method == "GET" else b"")


async def test_if_nobody_answers_the_error_is_that_of_the_first(monkeypatch):
    monkeypatch.setattr(model_lists, "TIMEOUT", 0.1)
    async with fleet(["a"], ["b"]) as (here, _), canned("", None) as silent:
        point(here, "b", silent)
        point(here, "b2", "http://127.0.0.1:1")
        answer = await here.oq.get("/v1/models")
        assert answer.status_code == 502
        assert "did not list its models within 0.1 s" in answer.json()["error"]["message"]


async def test_what_the_settings_give_to_nobody_is_not_listed():
    cloud = Simulator(models=["gpt-5", "dall-e"])
    async with serving(cloud) as url:
        others = [{"name": "cloud", "kind": "openai", "url": url, "models": ["gpt-*"]}]
        async with site(Simulator(models=["a"]), others=others) as here:
            await known(here)
            assert named(await here.oq.get("/v1/models"), "data", "id") == ["a", "gpt-5"]
            assert named(await here.oq.get("/api/tags"), "models", "name") == ["a", "gpt-5"]
            here.queue._core.board.backends[0].down = "gone"
            assert named(await here.oq.get("/v1/models"), "data", "id") == ["gpt-5"]


async def test_the_query_and_the_way_go_to_each():
    async with fleet(["a"], ["b"]) as (here, simulators):
        await here.oq.get(
            "/v1/models?x=1&y=%20", headers={"X-Request-Id": "7", "Range": "bytes=0-"}
        )
        for simulator in simulators:
            call = simulator.asked("/v1/models")[-1]
            headers: dict[str, Any] = dict(call.headers)
            assert call.query == "x=1&y=%20"
            assert headers["x-request-id"] == "7"
            assert "range" not in headers
            assert "x-oq-via" in headers or "via" in headers


async def test_ten_thousand_models_of_each_are_one_list():
    names = [[f"{box}{number}" for number in range(10_000)] for box in "ab"]
    async with fleet(*names) as (here, _):
        answer = await here.oq.get("/v1/models")
        assert sorted(named(answer, "data", "id")) == sorted(names[0] + names[1])


async def test_with_one_backend_the_list_is_passed_on_whatever_it_is():
    async with site() as here, canned("200 OK", b'{"models":[ {"name":7} ], "x":1}') as url:
        point(here, "b", url)
        answer = await here.oq.get("/api/tags")
        assert answer.content == b'{"models":[ {"name":7} ], "x":1}'
        assert answer.headers[TYPE] == "text/x-odd"
        assert json.loads(answer.content)["x"] == 1

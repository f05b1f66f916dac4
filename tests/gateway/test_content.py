"""The answer of a task as its backend sent it, whenever somebody asks for it."""

from __future__ import annotations

import json

import pytest

from oq.backends.simulated import Script, Simulator
from tests.gateway.test_as_made import before, http
from tests.support.gateway import CHAT, site

SPEECH = b'{"model":"m","input":"x","voice":"v"}'


async def content_of(here, answer):
    return await here.oq.get(f"/api/tasks/{answer.headers['X-OQ-Task-ID']}/content")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/audio/speech", {"model": "m", "input": "so it is", "voice": "v"}),
        ("/v1/audio/speech", {"model": "m", "input": "a", "stream_format": "sse"}),
        ("/v1/images/generations", {"model": "m", "prompt": "a cat"}),
        ("/rerank", {"query": "a", "texts": ["a", "b"]}),
        ("/completion", {"prompt": ["a", "b"]}),
        ("/api/chat", CHAT),
        ("/v1/chat/completions", CHAT),
    ],
)
async def test_it_is_what_the_caller_got(path, body):
    async with site(Simulator(default=Script(rate=0))) as here:
        answer = await here.oq.post(path, json=body)
        kept = await content_of(here, answer)
        assert (kept.status_code, kept.content) == (200, answer.content)
        assert kept.headers["Content-Type"] == answer.headers["Content-Type"]
        assert kept.headers["X-Content-Type-Options"] == "nosniff"
        assert "Content-Disposition" not in kept.headers


@pytest.mark.parametrize(
    ("kind", "is_file"),
    [
        ("audio/mpeg", False),
        ("audio/x-wav; rate=1", False),
        ("image/svg+xml", True),
        ("text/html; charset=utf-8", True),
        ("application/pdf", True),
        ("application/octet-stream", True),
    ],
)
async def test_what_a_browser_might_run_is_a_file(kind, is_file):
    sound = b"<svg onload=alert(1)>" * 9000
    async with before(http(sound, "200 OK", f"Content-Type: {kind}")) as (here, _):
        answer = await here.oq.post("/v1/audio/speech", content=SPEECH)
        kept = await content_of(here, answer)
        assert kept.content == answer.content == sound
        assert kept.headers["Content-Type"] == kind
        said = kept.headers.get("Content-Disposition", "")
        assert said.startswith("attachment;") is is_file
        assert "sandbox" in kept.headers["Content-Security-Policy"]


async def test_a_task_that_is_no_call_has_its_result():
    async with site() as here:
        task = {"type": "chat", "model": "m", "payload": {"messages": CHAT["messages"]}}
        made = (await here.oq.post("/api/tasks", json=task)).json()["task_id"]
        done = (await here.oq.get(f"/api/tasks/{made}", params={"wait": "10s"})).json()
        kept = await here.oq.get(f"/api/tasks/{made}/content")
        assert json.loads(kept.content) == done["result"]
        assert kept.headers["Content-Type"] == "application/json"


async def test_who_asks_for_an_answer_that_is_not_there_is_told_so():
    async with site() as here:
        assert (await here.oq.get("/api/tasks/nope/content")).status_code == 404
        await here.oq.post("/api/queue/pause")
        task = {"type": "generate", "model": "m", "payload": {"prompt": "a"}}
        made = (await here.oq.post("/api/tasks", json=task)).json()["task_id"]
        answer = await here.oq.get(f"/api/tasks/{made}/content")
        assert answer.status_code == 409
        assert "pending" in answer.json()["error"]


SOUND = bytes(range(256)) * 800
"""More than three portions of a stream."""


@pytest.fixture
async def sound():
    """A queue with an answer of sound, and the path of that answer."""
    async with before(http(SOUND, "200 OK", "Content-Type: audio/mpeg")) as (here, _):
        answer = await here.oq.post("/v1/audio/speech", content=SPEECH)
        yield here.oq, f"/api/tasks/{answer.headers['X-OQ-Task-ID']}/content"


async def test_an_answer_that_came_whole_says_how_long_it_is(sound):
    oq, path = sound
    for method in ("GET", "HEAD"):
        kept = await oq.request(method, path)
        assert kept.headers["Accept-Ranges"] == "bytes"
        assert kept.headers["Content-Length"] == str(len(SOUND))
        assert kept.content == (SOUND if method == "GET" else b"")


@pytest.mark.parametrize(
    ("asked", "begin", "end"),
    [
        ("bytes=0-", 0, len(SOUND)),
        ("bytes=0-0", 0, 1),
        ("bytes=65535-65536", 65535, 65537),
        ("bytes=70000-", 70000, len(SOUND)),
        ("bytes=100000-999999999", 100000, len(SOUND)),
        ("bytes=-10", len(SOUND) - 10, len(SOUND)),
        ("bytes=-999999999", 0, len(SOUND)),
        ("Bytes=5-9", 5, 10),
    ],
)
async def test_a_part_of_it_can_be_asked_for(sound, asked, begin, end):
    oq, path = sound
    part = await oq.get(path, headers={"Range": asked})
    assert (part.status_code, part.content) == (206, SOUND[begin:end])
    assert part.headers["Content-Range"] == f"bytes {begin}-{end - 1}/{len(SOUND)}"
    assert part.headers["Content-Length"] == str(end - begin)
    assert part.headers["Content-Type"] == "audio/mpeg"


@pytest.mark.parametrize("asked", [f"bytes={len(SOUND)}-", "bytes=999999999-", "bytes=-0"])
async def test_a_part_that_it_does_not_have(sound, asked):
    oq, path = sound
    refused = await oq.get(path, headers={"Range": asked})
    assert (refused.status_code, refused.headers["Content-Range"]) == (416, f"bytes */{len(SOUND)}")
    assert str(len(SOUND)) in refused.json()["error"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Range": "bytes=0-1,5-6"},
        {"Range": "words=0-1"},
        {"Range": "bytes=9-5"},
        {"Range": "bytes"},
        {"Range": "bytes=0-1", "If-Range": '"a version"'},
    ],
)
async def test_what_is_no_single_range_gets_the_whole(sound, headers):
    oq, path = sound
    whole = await oq.get(path, headers=headers)
    assert (whole.status_code, whole.content) == (200, SOUND)


async def test_parts_of_a_json_answer_and_none_of_a_stream():
    async with site(Simulator(default=Script(rate=0))) as here:
        whole = await here.oq.post("/api/chat", json={**CHAT, "stream": False})
        path = f"/api/tasks/{whole.headers['X-OQ-Task-ID']}/content"
        part = await here.oq.get(path, headers={"Range": "bytes=2-6"})
        assert (part.status_code, part.content) == (206, whole.content[2:7])
        streamed = await here.oq.post("/api/chat", json={**CHAT, "stream": True})
        path = f"/api/tasks/{streamed.headers['X-OQ-Task-ID']}/content"
        part = await here.oq.get(path, headers={"Range": "bytes=2-6"})
        assert (part.status_code, part.content) == (200, streamed.content)
        assert "Accept-Ranges" not in part.headers

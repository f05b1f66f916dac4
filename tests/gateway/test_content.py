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

"""Calls through oq: the same answers as without it, and a task of each."""

from __future__ import annotations

import json

import pytest

from oq.backends.simulated import Script, Simulator
from tests.gateway_support import CHAT, GENERATE, said, site

STILL = {"created_at", "created"} | {
    f"{part}_duration" for part in ("total", "load", "prompt_eval", "eval")
}
"""What differs from one answer to the next."""


def steady(value):
    """The value without times."""
    if isinstance(value, dict):
        return {key: steady(each) for key, each in value.items() if key not in STILL}
    if isinstance(value, list):
        return [steady(each) for each in value]
    return value


CALLS = [
    ("/api/chat", CHAT),
    ("/api/generate", GENERATE),
    ("/api/embed", {"model": "m", "input": ["a", "b"]}),
    ("/api/embeddings", {"model": "m", "prompt": "a"}),
    ("/v1/chat/completions", CHAT),
    ("/v1/completions", GENERATE),
    ("/v1/embeddings", {"model": "m", "input": "a"}),
]


@pytest.mark.parametrize("stream", [True, False, None])
@pytest.mark.parametrize(("path", "body"), CALLS, ids=[path for path, _ in CALLS])
async def test_the_answer_is_that_of_the_backend(path, body, stream):
    if stream is not None:
        body = {**body, "stream": stream}
    async with site() as here:
        direct, through = await here.both("POST", path, json=body)
        assert through.status_code == direct.status_code == 200
        assert through.headers["Content-Type"] == direct.headers["Content-Type"]
        assert steady(said(through.content)) == steady(said(direct.content))
        task = await here.task(through)
        assert task["status"] == "completed"
        assert task["model"] == "m"
        assert task["priority"] == 10
        assert task["metadata"]["path"] == path
        assert task["metadata"]["client"] == "127.0.0.1"
        assert task["metadata"]["user_agent"].startswith("python-httpx")
        assert task["payload"] == {k: v for k, v in body.items() if k not in ("model", "stream")}


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("path", ["/api/chat", "/api/generate", "/v1/chat/completions"])
async def test_an_error_of_the_backend_keeps_its_status_and_its_words(path, stream):
    async with site(Simulator(models={"m"})) as here:
        body = {**CHAT, **GENERATE, "model": "unknown", "stream": stream}
        direct, through = await here.both("POST", path, json=body)
        assert through.status_code == direct.status_code == 404
        assert through.content == direct.content
        assert (await here.task(through))["status"] == "failed"


async def test_what_fails_before_it_says_anything_is_tried_again():
    simulator = Simulator()
    async with site(simulator) as here:
        simulator.push(Script(status=503), Script(fault="cut"))
        answer = await here.oq.post("/api/chat", json=CHAT)
        assert answer.status_code == 200
        assert said(answer.content)[-1]["done"] is True
        assert (await here.task(answer))["retry_count"] >= 1


@pytest.mark.parametrize("fault", ["error", "cut", "half_line", "garbage"])
@pytest.mark.parametrize("path", ["/api/chat", "/v1/chat/completions"])
async def test_what_fails_after_it_has_begun_ends_with_an_error(path, fault):
    simulator = Simulator()
    async with site(simulator) as here:
        simulator.push(Script(text="one two three", fault=fault, at=2, rate=1000, error="kaput"))
        answer = await here.oq.post(path, json={**CHAT, "stream": True})
        assert answer.status_code == 200
        *chunks, last = said(answer.content)
        assert len(chunks) == 2
        error = last["error"] if path.startswith("/api") else last["error"]["message"]
        if fault == "error":
            assert error == "kaput"
        task = await here.task(answer)
        assert (task["status"], task["retry_count"]) == ("failed", 0)
        assert error in task["error"]


async def test_bytes_reach_the_backend_as_they_came():
    body = b'{ "stream":\tfalse , "model" : "m","messages":[{"role":"user","content":"\\u00e9"}] }'
    async with site() as here:
        answer = await here.oq.post("/api/chat", content=body)
        assert answer.json()["done"] is True
        assert here.bodies("/api/chat") == [body.replace(b"false", b"true")]
        streamed = json.dumps({**CHAT, "stream": True}).encode()
        await here.oq.post("/v1/chat/completions", content=streamed)
        assert here.bodies("/v1/chat/completions") == [streamed]

"""Calls through oq: the same answers as without it, and a task of each."""

from __future__ import annotations

import json

import pytest

from oq.backends.simulated import Script, Simulator
from oq.store import KeyValueLedger, MemoryEngine
from tests.support.gateway import CHAT, GENERATE, said, site

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


ENDPOINTS = [
    ("/api/chat", CHAT),
    ("/api/generate", GENERATE),
    ("/api/embed", {"model": "m", "input": ["a", "b"]}),
    ("/api/embeddings", {"model": "m", "prompt": "a"}),
    ("/v1/chat/completions", CHAT),
    ("/v1/completions", GENERATE),
    ("/v1/embeddings", {"model": "m", "input": "a"}),
]


@pytest.mark.parametrize("stream", [True, False, None])
@pytest.mark.parametrize(("path", "body"), ENDPOINTS, ids=[path for path, _ in ENDPOINTS])
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
        assert here.bodies("/api/chat") == [body]
        streamed = json.dumps({**CHAT, "stream": True}).encode()
        await here.oq.post("/v1/chat/completions", content=streamed)
        assert here.bodies("/v1/chat/completions") == [streamed]


@pytest.mark.parametrize("kind", ["openai", "simulated"])
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(("path", "body"), ENDPOINTS, ids=[path for path, _ in ENDPOINTS])
async def test_every_call_works_on_every_kind_of_backend(kind, path, body, stream):
    async with site(kind=kind) as here:
        direct, through = await here.both("POST", path, json={**body, "stream": stream})
        assert through.status_code == 200
        assert through.headers["Content-Type"] == direct.headers["Content-Type"]
        assert words(said(through.content)) == words(said(direct.content))
        assert (await here.task(through))["status"] == "completed"


def words(chunks):
    """All that is said in an answer, of either form, streamed or not."""
    text, vectors = "", []
    for chunk in chunks:
        if chunk == b"[DONE]":
            continue
        [choice] = chunk.get("choices") or [{}]
        message = chunk.get("message") or choice.get("message") or choice.get("delta") or {}
        text += message.get("content") or choice.get("text") or chunk.get("response") or ""
        vectors += chunk.get("embeddings") or [chunk.get("embedding")]
        vectors += [each["embedding"] for each in chunk.get("data", ())]
    return text, [vector for vector in vectors if vector]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/chat", {**CHAT, "think": True, "stream": True}),
        ("/v1/chat/completions", {**CHAT, "reasoning_effort": "low", "stream": True}),
        ("/v1/completions", {**GENERATE, "stream": True}),
    ],
)
async def test_what_it_says_can_be_read_as_any_other_task(path, body):
    """By its chunks, live or afterwards, from any offset."""
    async with site() as here:
        answer = await here.oq.post(path, json=body)
        task = await here.task(answer)
        stream = f"/api/tasks/{task['id']}/stream"
        chunks = said((await here.oq.get(stream)).content)
        assert words(said(answer.content))[0] == "".join(chunk["data"] for chunk in chunks)
        if path != "/v1/completions":
            assert "".join(chunk.get("thinking", "") for chunk in chunks).startswith("Thinking")
        assert chunks[-1]["status"] == "completed"
        rest = said((await here.oq.get(f"{stream}?offset=2")).content)
        assert rest[-1]["offset"] == chunks[-1]["offset"]
        assert len(rest[0]["data"] + rest[0].get("thinking", "")) > 0


async def test_a_failed_call_can_be_retried_by_its_user():
    async with site(Simulator(models={"m"})) as here:
        answer = await here.oq.post("/api/chat", json={**CHAT, "model": "later"})
        assert answer.status_code == 404
        task_id = answer.headers["X-OQ-Task-ID"]
        here.simulator.model_files.put("later")
        await here.oq.post(f"/api/tasks/{task_id}/retry")
        assert (await here.task(answer))["result"]["done"] is True


@pytest.mark.parametrize("path", ["/api/chat", "/v1/chat/completions"])
async def test_counts_are_those_of_the_backend(path):
    async with site() as here:
        answer = await here.oq.post(path, json={**CHAT, "stream": False})
        usage = (await here.task(answer))["usage"]
        assert usage["completion_tokens"] > 0
        assert usage["prompt_tokens"] > 0


@pytest.mark.parametrize("path", ["/api/chat", "/v1/chat/completions"])
async def test_a_backend_that_says_nothing_has_502(path):
    async with site(retry_config={"max_retries": 0}) as here:
        here.simulator.push(Script(fault="cut"))
        answer = await here.oq.post(path, json=CHAT)
        assert answer.status_code == 502
        assert "was lost" in answer.text
        assert (answer.headers.get("x-should-retry") == "false") is path.startswith("/v1")


async def test_a_body_that_not_everybody_can_read_does_not_spoil_the_list():
    async with site() as here:
        body = b'{"model": "m", "messages": [{"role": "user", "content": "a"}], "x": 1e400}'
        answer = await here.oq.post("/api/chat", content=body)
        assert answer.status_code == 200
        assert here.bodies("/api/chat") == [body]
        [task] = (await here.oq.get("/api/tasks")).json()
        assert task["payload"] == {}


@pytest.mark.parametrize("path", ["/api/chat", "/v1/chat/completions"])
async def test_of_an_attempt_that_failed_unseen_nothing_is_seen(path):
    """It said two words and broke off before anybody could pass them on."""
    async with site(kind="simulated") as here:
        simulator = here.queue._core.by_name["b"].simulator
        simulator.push(Script(text="no no no", fault="error", at=2), Script(text="yes"))
        answer = await here.oq.post(path, json={**CHAT, "stream": True})
        assert words(said(answer.content))[0] == "yes"
        assert (await here.task(answer))["retry_count"] == 1


@pytest.mark.parametrize(
    ("path", "body", "load"),
    [
        ("/api/chat", CHAT, "num_ctx=64,shift=true"),
        ("/api/embeddings", {"model": "m", "prompt": "a"}, "num_ctx=64"),
        ("/v1/chat/completions", CHAT, ""),
    ],
)
async def test_a_call_is_stored_with_what_makes_its_model_load_again(path, body, load):
    engine = MemoryEngine()
    async with site(engine=engine) as here:
        options = {"options": {"seed": 1, "num_ctx": 64.0}, "shift": True}
        task = await here.task(await here.oq.post(path, json=body | options))
        assert "load" not in task
    stored = await KeyValueLedger(engine).state(task["id"])
    assert stored.terms.load == load

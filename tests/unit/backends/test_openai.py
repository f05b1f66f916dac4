"""OpenAIBackend against the simulated server, over real sockets."""

from __future__ import annotations

import json

import pytest
import trio
import trio.testing

from oq.backends.base import Request
from oq.backends.openai import OpenAIBackend
from oq.backends.simulated import Script, ScriptedCall
from oq.backends.simulated.text import answer, embedding
from oq.words.errors import BackendDown, BackendFailure, BackendRejected
from oq.words.task import TaskType, Usage
from tests.support.builders import UNTIMED

KEY = "sk-secret-0123456789"
CHAT = b'{"messages":[{"role":"user","content":"why is the sky blue"}]}'


def chat(payload=CHAT, options=b"{}", model="m"):
    return Request(TaskType.CHAT, model, payload, options)


def ignore(chunk: bytes) -> None:
    """An emit for tests that look at the result alone."""


@pytest.fixture
async def backend(url):
    backend = OpenAIBackend("a", url, KEY, connect_timeout=UNTIMED, silence=UNTIMED)
    yield backend
    await backend.aclose()


def test_the_url_may_end_with_v1_or_not():
    for written in ("http://h:1", "http://h:1/", "http://h:1/v1", "h:1/v1/"):
        assert OpenAIBackend("a", written).url == "http://h:1/v1"
    assert OpenAIBackend("a", "https://h/api").url == "https://h:443/api/v1"


async def test_chat_comes_in_ollamas_form(backend, simulator):
    chunks = []
    completed = await backend.run(chat(), chunks.append)
    said = [json.loads(chunk) for chunk in chunks]
    result = json.loads(completed.result)
    assert "".join(chunk["message"]["content"] for chunk in said) == answer("why is the sky blue")
    assert result["message"] == {"role": "assistant", "content": answer("why is the sky blue")}
    assert [chunk["done"] for chunk in said] == [False] * 16 + [True]
    assert result["done_reason"] == "stop"
    assert result["total_duration"] > 0
    assert completed.usage == Usage(5, 16)
    [call] = simulator.calls
    assert call.path == "/v1/chat/completions"
    assert ("authorization", f"Bearer {KEY}") in call.headers


async def test_generate_and_embed(backend):
    request = Request(TaskType.GENERATE, "m", b'{"prompt":"one two"}', b'{"num_predict":3}')
    completed = await backend.run(request, ignore)
    result = json.loads(completed.result)
    assert (result["response"], result["done_reason"]) == (answer("one two", 3), "length")
    assert completed.usage == Usage(2, 3)
    request = Request(TaskType.EMBED, "m", b'{"input":["a b","c"]}', b"{}")
    completed = await backend.run(request, ignore)
    assert json.loads(completed.result)["embeddings"] == [embedding("a b"), embedding("c")]
    assert completed.usage == Usage(3, 0)


async def test_thinking_tools_and_json(backend, simulator):
    simulator.push(Script(thinking="hm, let me see", tokens=2))
    result = await backend.run(chat(CHAT[:-1] + b',"think":true}'), ignore)
    assert json.loads(result.result)["message"]["thinking"] == "hm, let me see"
    simulator.push(Script(tool_calls=(ScriptedCall("f", {"n": 1}), ScriptedCall("g"))))
    chunks = []
    result = await backend.run(chat(CHAT[:-1] + b',"tools":[{}]}'), chunks.append)
    assert json.loads(result.result)["message"]["tool_calls"] == [
        {"id": "call_0", "function": {"name": "f", "arguments": {"n": 1}}},
        {"id": "call_1", "function": {"name": "g", "arguments": {}}},
    ]
    assert len(chunks) == 2
    payload = CHAT[:-1] + b',"format":{"type":"object","properties":{"n":{"type":"integer"}}}}'
    result = await backend.run(chat(payload), ignore)
    assert json.loads(result.result)["message"]["content"] == '{"n":1}'


async def test_options_simulate_reaches_the_simulator(backend):
    completed = await backend.run(chat(options=b'{"simulate":{"text":"as told"}}'), ignore)
    assert json.loads(completed.result)["message"]["content"] == "as told"


async def test_an_unknown_model_is_final(backend):
    with pytest.raises(BackendRejected, match='model "x" not found') as caught:
        await backend.run(chat(model="x"), ignore)
    assert caught.value.status == 404


@pytest.mark.parametrize("status", [408, 429, 500, 503])
async def test_a_status_worth_a_retry(backend, simulator, status):
    simulator.push(Script(status=status, error=f"busy {KEY}", retry_after="3"))
    with pytest.raises(BackendFailure, match=r"busy \*\*\*") as caught:
        await backend.run(chat(), ignore)
    assert (caught.value.status, caught.value.retry_after) == (status, 3)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("error", "out of memory"),
        ("cut", "connection to http://.* was lost"),
        ("garbage", "no answer: '<html>"),
        ("half_line", "no answer: 'data: "),
        ("empty", "ended before done"),
    ],
)
@pytest.mark.parametrize("at", [0, 3])
async def test_a_stream_that_breaks_is_a_failure(backend, simulator, fault, words, at):
    simulator.push(Script(fault=fault, at=at, error="out of memory"))
    chunks = []
    with pytest.raises(BackendFailure, match=words):
        await backend.run(chat(), chunks.append)
    assert len(chunks) == at
    assert (await backend.run(chat(), ignore)).usage == Usage(5, 16)


@pytest.mark.parametrize("fault", ["error", "cut", "garbage", "half_line", "empty", "reset"])
async def test_an_embed_answer_that_breaks_is_a_failure(backend, simulator, fault):
    simulator.push(Script(fault=fault))
    with pytest.raises(BackendFailure):
        await backend.run(Request(TaskType.EMBED, "m", b'{"input":"x"}', b"{}"), ignore)


async def test_cancel_is_seen_upstream_while_the_answer_goes_on(backend, simulator):
    simulator.push(Script(rate=0.2))  # 80 seconds
    async with trio.open_nursery() as nursery:
        nursery.start_soon(backend.run, chat(), ignore)
        while not simulator.running:
            await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    [call] = simulator.calls
    with trio.fail_after(20):
        await call.hung_up.wait()


async def test_probe(backend, simulator):
    await backend.probe()
    assert simulator.calls[0].path == "/v1/models"
    nobody = OpenAIBackend("gpu", "127.0.0.1:1")
    with pytest.raises(BackendDown, match="url of backend 'gpu'"):
        await nobody.probe()
    await nobody.aclose()

"""Tasks at servers with habits of their own: the same result, or the error that was stated."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest

from oq.backends.base import Request
from oq.backends.ollama import OllamaBackend
from oq.backends.openai import OpenAIBackend
from oq.backends.openai_tasks import refuses_stream
from oq.backends.simulated import Script, ScriptedCall, Simulator
from oq.backends.simulated.server import serve_simulator
from oq.words.errors import BackendFailure, BackendRejected
from oq.words.task import TaskType
from tests.support.builders import UNTIMED

CHAT = b'{"messages":[{"role":"user","content":"one two"}],"tools":[{}]}'
CALLS = (ScriptedCall("f", {"n": 1}), ScriptedCall("g", {"n": 2}), ScriptedCall("g", {"n": 3}))
TEXT = "a 🦙 b"


def chat(payload: bytes = CHAT, model: str = "m") -> Request:
    return Request(TaskType.CHAT, model, payload, b"{}")


def ignore(chunk: object) -> None:
    """An emit for tests that look at the result alone."""


@pytest.fixture
def simulator():
    return Simulator()


@pytest.fixture(params=["ollama", "openai"])
async def backend(request, nursery, simulator):
    url = await nursery.start(serve_simulator, "127.0.0.1", 0, simulator)
    kind = OllamaBackend if request.param == "ollama" else OpenAIBackend
    backend = kind("b", url, connect_timeout=UNTIMED, silence=UNTIMED)
    yield backend
    await backend.aclose()


@pytest.mark.parametrize(
    "quirks",
    [(), ("roles",), ("names",), ("same_index",), ("no_index",), ("names", "same_index"),
     ("names", "no_index"), ("null_data", "null_choices", "null_delta"), ("surrogates",),
     ("float_tokens",), ("no_done",), ("sorted", "spaced"), ("crlf",), ("comments", "blank_lines"),
     ("crlf", "comments", "blank_lines")],
    ids=lambda quirks: "+".join(quirks) or "none",
)  # fmt: skip
@pytest.mark.parametrize("calls", [(), CALLS], ids=["text", "calls"])
async def test_habits_change_nothing(backend, simulator, quirks, calls):
    text = "" if calls else TEXT
    simulator.push(Script(text=None if calls else TEXT, tool_calls=calls, quirks=quirks))
    chunks: list[bytes] = []
    done = await backend.run(chat(), chunks.append)
    result = json.loads(done.result)
    assert result["message"].get("content", "") == text
    said = [call["function"] for call in result["message"].get("tool_calls", ())]
    assert [(one["name"], one["arguments"]) for one in said] == [
        (call.name, call.arguments) for call in calls
    ]
    assert done.usage is not None
    assert done.usage.prompt_tokens == result["prompt_eval_count"] == 2
    streamed = [json.loads(chunk)["message"].get("content", "") for chunk in chunks]
    cut = backend.kind == "ollama" and "surrogates" in quirks  # each line is given alone
    assert "".join(streamed) == (text.replace("🦙", "\ufffd\ufffd") if cut else text)


async def test_calls_without_arguments_have_none(backend, simulator):
    simulator.push(Script(tool_calls=CALLS[:1], quirks=("no_arguments",)))
    result = json.loads((await backend.run(chat(), ignore)).result)
    [call] = result["message"]["tool_calls"]
    if backend.kind == "openai":
        assert call["function"]["arguments"] == {}


@pytest.mark.parametrize("quirk", ["done_alone", "usage_alone"])
async def test_an_answer_that_says_nothing_is_a_failure(backend, simulator, quirk):
    simulator.push(Script(quirks=(quirk,)))
    if backend.kind == "openai":
        with pytest.raises(BackendFailure, match="generated nothing"):
            await backend.run(chat(), ignore)


CONTEXT = {"code": 400, "type": "exceed_context_size_error", "n_ctx": 4096}


@pytest.mark.parametrize("at", [0, 3])
async def test_an_error_in_an_answer_is_final_if_its_code_is(backend, simulator, at):
    fields = CONTEXT if backend.kind == "openai" else {"status": 400}
    script = Script(fault="error", error="the context is full", error_fields=fields, at=at)
    simulator.push(script)
    with pytest.raises(BackendRejected, match="the context is full") as caught:
        await backend.run(chat(), ignore)
    assert caught.value.status == 400
    stated = json.loads(caught.value.body or b"")
    told = stated["error"] if backend.kind == "openai" else stated
    assert fields.items() <= told.items()


async def test_501_is_final(backend, simulator):
    simulator.push(Script(status=501, error="This server does not support embeddings."))
    with pytest.raises(BackendRejected, match="does not support embeddings") as caught:
        await backend.run(Request(TaskType.EMBED, "m", b'{"input":"x"}', b"{}"), ignore)
    assert caught.value.status == 501


async def openai(nursery, simulator) -> OpenAIBackend:
    return OpenAIBackend("b", await nursery.start(serve_simulator, "127.0.0.1", 0, simulator))


@pytest.mark.parametrize("status", [400, 422, 500, 501])
@pytest.mark.parametrize(
    ("field", "words"),
    [("stream", "Cannot use tools with stream"), ("stream_options", "stream_options: not allowed")],
)
async def test_where_streams_are_refused_a_whole_answer_is_asked_for(
    nursery, simulator, status, field, words
):
    backend = await openai(nursery, simulator)
    simulator.default = Script(text=TEXT, status=status, error=words, refuses=(field,))
    for _ in range(2):
        chunks: list[bytes] = []
        done = await backend.run(chat(), chunks.append)
        assert json.loads(done.result)["message"]["content"] == TEXT
        assert [json.loads(chunk)["done"] for chunk in chunks] == [False, True]
    asked = [json.loads(call.body).get("stream", False) for call in simulator.calls]
    assert asked == [True, False, False], "it is remembered"
    await backend.run(chat(model="other"), ignore)
    assert json.loads(simulator.calls[3].body)["stream"], "it is remembered of one model"
    await backend.aclose()


@pytest.mark.parametrize(
    ("payload", "errors", "asked"),
    [
        (b'{"messages":[{"role":"user","content":"My Stream"}]}', 1, [True, False, True]),
        (b'{"prompt":"x","messages":[]}', 2, [True, False, True]),
        (b'{"messages":[],"stream":true}', 1, [True, False, False]),
    ],
)
async def test_a_refused_stream_is_remembered_once_a_whole_answer_came_and_if_it_is_no_echo(
    nursery, simulator, payload, errors, asked
):
    backend = await openai(nursery, simulator)
    for _ in range(errors):
        simulator.push(Script(status=400, error="what is 'my stream'?"))
    with suppress(BackendRejected):
        await backend.run(Request(TaskType.CHAT, "m", payload, b"{}"), ignore)
    await backend.run(chat(), ignore)
    sent = [json.loads(call.body).get("stream", False) for call in simulator.calls]
    assert sent == asked
    await backend.aclose()


async def test_other_refusals_are_told(nursery, simulator):
    backend = await openai(nursery, simulator)
    simulator.push(Script(status=400, error="the context is full"))
    with pytest.raises(BackendRejected, match="the context is full"):
        await backend.run(chat(), ignore)
    simulator.default = Script(status=400, error="no stream, and nothing else either")
    with pytest.raises(BackendRejected, match="nothing else either"):
        await backend.run(chat(), ignore)
    assert len(simulator.calls) == 3
    await backend.aclose()


@pytest.mark.parametrize(
    ("error", "refuses"),
    [
        (BackendRejected("no streaming", status=400), True),
        (BackendRejected("no", status=400, body=b"Stream is not supported"), True),
        (BackendRejected("no stream", status=401), False),
        (BackendRejected("no", status=400, body=b"no such model"), False),
        (BackendFailure("the stream ended before done"), False),
    ],
)
def test_which_errors_refuse_a_stream(error, refuses):
    assert refuses_stream(error) is refuses

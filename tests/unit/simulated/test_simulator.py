"""The simulated machine in process: scripts, loading, order, and what it remembers.

All of it on trio's mock clock: a minute here takes no time.
"""

from __future__ import annotations

import json
import math

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from oq.backends.base import Backend, Request
from oq.backends.simulated import NoopBackend, Script, ScriptedCall, SimulatedBackend, Simulator
from oq.backends.simulated.text import answer, as_json, embedding, tokenize
from oq.words.errors import BackendDown, BackendFailure, BackendRejected
from oq.words.task import TaskType, Usage


def chat(text="one two three", model="m", options=None, **fields):
    payload = {"messages": [{"role": "user", "content": text}], **fields}
    return Request(TaskType.CHAT, model, json.dumps(payload).encode(), encoded(options))


def generate(text="one two three", model="m", options=None, **fields):
    payload = json.dumps({"prompt": text, **fields}).encode()
    return Request(TaskType.GENERATE, model, payload, encoded(options))


def encoded(options):
    return json.dumps(options or {}).encode()


def simulated(options):
    return {"simulate": options}


def ignore(chunk: bytes) -> None:
    """An emit for tests that look at the result alone."""


def content(completed):
    return json.loads(completed.result)["message"]["content"]


@pytest.fixture
def backend():
    return SimulatedBackend()


async def test_the_answer_can_be_foretold(backend):
    chunks = []
    completed = await backend.run(chat("one two three"), chunks.append)
    assert content(completed) == answer("one two three") == "one two three " * 5 + "one"
    assert completed.usage == Usage(3, 16)
    assert len(chunks) == 17
    completed = await backend.run(generate("a b", options={"num_predict": 3}), ignore)
    result = json.loads(completed.result)
    assert (result["response"], result["done_reason"]) == ("a b a", "length")


async def test_embeddings_depend_on_the_text_alone(backend):
    request = Request(TaskType.EMBED, "m", b'{"input":["a","b","a"]}', b"{}")
    completed = await backend.run(request, ignore)
    first, other, again = json.loads(completed.result)["embeddings"]
    assert first == again == embedding("a")
    assert other != first
    assert math.isclose(math.hypot(*first), 1, abs_tol=1e-4)


async def test_an_empty_prompt_loads_the_model_and_keep_alive_0_unloads_it(backend):
    empty = Request(TaskType.CHAT, "m", b'{"messages":[]}', b"{}")
    assert json.loads((await backend.run(empty, ignore)).result)["done_reason"] == "load"
    assert backend.simulator.loaded.names == ["m"]
    completed = await backend.run(generate("", keep_alive=0), ignore)
    assert json.loads(completed.result)["done_reason"] == "unload"
    assert backend.simulator.loaded.names == []


async def test_scripts_come_along_or_wait_in_line_or_are_the_default():
    simulator = Simulator(Script(text="default"))
    backend = SimulatedBackend("s", simulator)
    simulator.push(Script(text="first"), Script(text="second"))
    told = [None, {"text": "mine"}, None, None]
    said = [
        content(await backend.run(chat(options=simulated(t) if t else None), ignore)) for t in told
    ]
    assert said == ["first", "mine", "second", "default"]


async def test_a_script_with_a_typo_is_refused(backend):
    with pytest.raises(BackendRejected, match="unknown field `dealy`"):
        await backend.run(chat(options=simulated({"dealy": 1})), ignore)


async def test_tokens_come_when_they_are_due(backend, autojump_clock):
    came = []
    script = {"delay": 5, "rate": 2, "tokens": 4}
    request = chat(options=simulated(script))
    await backend.run(request, lambda chunk: came.append(trio.current_time()))
    assert [at - came[0] for at in came] == [0, 0.5, 1, 1.5, 1.5]
    assert came[0] - backend.simulator.calls[0].at == 5


@pytest.mark.parametrize(
    ("script", "error", "words"),
    [
        ({"status": 404, "error": "gone"}, BackendRejected, "answered 404: gone"),
        ({"status": 503, "retry_after": "9"}, BackendFailure, "answered 503"),
        ({"fault": "error", "at": 2, "error": "no memory"}, BackendFailure, "no memory"),
        ({"fault": "cut"}, BackendFailure, "was lost"),
        ({"fault": "reset"}, BackendFailure, "was lost"),
        ({"fault": "garbage", "at": 1}, BackendFailure, "no answer"),
        ({"fault": "half_line"}, BackendFailure, "no answer"),
        ({"fault": "empty"}, BackendFailure, "ended before done"),
    ],
)
async def test_faults_are_those_that_the_real_backend_would_meet(backend, script, error, words):
    chunks = []
    with pytest.raises(error, match=words) as caught:
        await backend.run(chat(options=simulated(script)), chunks.append)
    assert len(chunks) == script.get("at", 0)
    if "retry_after" in script:
        assert caught.value.retry_after == 9
    embed = Request(TaskType.EMBED, "m", b'{"input":"x"}', encoded(simulated(script)))
    with pytest.raises(error, match=words):
        await backend.run(embed, ignore)


async def test_a_hang_lasts_until_the_caller_leaves(backend, autojump_clock):
    with trio.move_on_after(3600) as scope:
        await backend.run(chat(options=simulated({"fault": "hang", "at": 3})), ignore)
    assert scope.cancelled_caught
    [call] = backend.simulator.calls
    assert call.hung_up.is_set()
    assert call.hung_up_at - call.at == 3600
    assert backend.simulator.running == 0


async def test_only_models_that_exist():
    backend = SimulatedBackend("s", Simulator(models={"m:latest"}))
    await backend.run(chat(model="m"), ignore)
    with pytest.raises(BackendRejected, match='model "x" not found, try pulling it first'):
        await backend.run(chat(model="x"), ignore)


async def test_down_and_up_again(backend):
    await backend.probe()
    backend.down = "connection refused"
    for call in (backend.probe(), backend.run(chat(), ignore)):
        with pytest.raises(BackendDown, match="simulated://simulated: connection refused"):
            await call
    assert not backend.simulator.calls
    backend.down = None
    await backend.run(chat(), ignore)


async def test_it_remembers_the_order_and_how_many_ran_at_once(backend, autojump_clock):
    async with trio.open_nursery() as nursery:
        for number in range(3):
            nursery.start_soon(
                backend.run, chat(str(number), options=simulated({"delay": 1})), ignore
            )
            await trio.testing.wait_all_tasks_blocked()
    bodies = [json.loads(call.body) for call in backend.simulator.asked("/api/chat")]
    assert [body["messages"][0]["content"] for body in bodies] == ["0", "1", "2"]
    assert backend.simulator.max_running == 3
    assert all(call.ended_at and call.hung_up_at is None for call in backend.simulator.calls)


async def took(backend, *args, **kwargs):
    began = trio.current_time()
    await backend.run(chat(*args, **kwargs), ignore)
    return trio.current_time() - began


async def test_loading_costs_time_once_and_again_when_a_load_option_changes(autojump_clock):
    simulator = Simulator(load=10, max_models=2)
    backend = SimulatedBackend("s", simulator)
    assert await took(backend) == 10
    assert await took(backend, options={"temperature": 1}) == 0
    assert await took(backend, options={"num_ctx": 8192}) == 10
    assert await took(backend, options={"num_ctx": 8192}) == 0
    assert await took(backend, options=simulated({"load": 3})) == 3  # num_ctx changes back
    assert await took(backend, model="b") == 10
    assert await took(backend) == 0
    assert await took(backend, model="c") == 10  # b was used longest ago, and leaves
    assert simulator.loaded.names == ["m", "c"]
    assert simulator.loaded.loads == ["m", "m", "m", "b", "c"]


async def test_a_model_in_use_stays_and_the_next_one_waits(autojump_clock):
    backend = SimulatedBackend("s", Simulator(load=10, max_models=1))
    times = {}

    async def run(model, delay):
        times[model] = await took(backend, model=model, options=simulated({"delay": delay}))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run, "a", 100)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(run, "b", 0)
    assert times == {"a": 110, "b": 120}


async def test_two_that_want_the_same_model_wait_for_one_load(autojump_clock):
    simulator = Simulator(load=10)
    backend = SimulatedBackend("s", simulator)
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(backend.run, chat(), ignore)
        nursery.start_soon(backend.run, chat(), ignore)
    assert trio.current_time() - began == 10
    assert simulator.loaded.loads == ["m"]


async def test_a_load_is_given_up_when_nobody_waits(autojump_clock):
    simulator = Simulator(load=10)
    backend = SimulatedBackend("s", simulator)
    with trio.move_on_after(4):
        await backend.run(chat(), ignore)
    assert simulator.loaded.names == []
    assert await took(backend) == 10


async def test_thinking_and_tools_only_when_asked_for(backend):
    script = {"thinking": "let me see", "tool_calls": [{"name": "f", "arguments": {"a": 1}}]}
    plain = json.loads((await backend.run(chat(options=simulated(script)), ignore)).result)
    assert set(plain["message"]) == {"role", "content"}
    asked = chat(options=simulated(script), think=True, tools=[{}])
    message = json.loads((await backend.run(asked, ignore)).result)["message"]
    assert message["thinking"] == "let me see"
    assert message["tool_calls"] == [{"function": {"name": "f", "arguments": {"a": 1}}}]
    assert message["content"] == ""


async def test_formats(backend):
    schema = {
        "type": "object",
        "properties": {
            "name": {"type": "string"}, "age": {"type": "integer"}, "ok": {"type": "boolean"},
            "of": {"enum": ["a", "b"]}, "tags": {"type": "array", "items": {"type": "string"}},
        },
    }  # fmt: skip
    script = {"tokens": 1}
    completed = await backend.run(chat("x", options=simulated(script), format=schema), ignore)
    assert json.loads(content(completed)) == {
        "name": "x", "age": 1, "ok": True, "of": "a", "tags": ["x"]
    }  # fmt: skip
    script = {"text": '{"a": 1}'}
    completed = await backend.run(chat(options=simulated(script), format="json"), ignore)
    assert content(completed) == '{"a": 1}', "what a script says is said as it is"
    assert json.loads(as_json('quo"te', None)) == {"answer": 'quo"te'}


@given(st.text())
def test_tokens_joined_are_the_text(text):
    assert "".join(tokenize(text)) == text


async def test_noop_is_cheap_and_keeps_to_the_protocol():
    backend: Backend = NoopBackend(result=b"{}")
    assert (await backend.run(chat(), ignore)).result == b"{}"
    await backend.probe()
    await backend.aclose()
    other: Backend = SimulatedBackend()
    await other.aclose()
    assert ScriptedCall("f").arguments == {}


async def test_what_it_remembers_is_bounded_by_bytes():
    simulator = Simulator(keep_bytes=1_000_000)
    for _ in range(100):
        simulator.record("POST", "/api/generate", [("a", "b")], b"x" * 100_000)
    assert [call.number for call in simulator.calls] == list(range(92, 101))
    simulator.record("POST", "/api/generate", [], b"x" * 2_000_000)
    assert [call.number for call in simulator.calls] == [101], "the latest is always there"
    for _ in range(20_000):
        simulator.record("GET", "/", [], b"")
    assert 900 < len(simulator.calls) < 1000

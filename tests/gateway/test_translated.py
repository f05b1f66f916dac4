"""Calls of /v1/responses and /v1/messages, at servers that have these paths and at others.

The official clients make them, against oq in front of a simulated server, both on sockets.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anthropic
import httpx2
import openai
import pytest
import trio

from oq.backends.simulated import Script, Simulator
from oq.backends.simulated.script import ScriptedCall
from tests.gateway.test_callers import first_part
from tests.support.gateway import Site, site

RESPONSES, MESSAGES = "/v1/responses", "/v1/messages"
FORM = {"ollama": "/api/chat", "openai": "/v1/chat/completions"}
KIND = pytest.mark.parametrize("kind", FORM)
PATH = pytest.mark.parametrize("path", [RESPONSES, MESSAGES])
TOOL = {"type": "function", "name": "f", "description": "", "strict": None,
        "parameters": {"type": "object", "properties": {}}}  # fmt: skip
CALLED = (ScriptedCall("f", {"a": 1}),)


@asynccontextmanager
async def lacking(kind: Any, *paths: str, **more: Any) -> AsyncIterator[Site]:
    """oq in front of a server that lacks these paths, or both."""
    simulator = Simulator(models={"m"}, lacks=paths or (RESPONSES, MESSAGES))
    async with site(simulator, kind=kind, **more) as here:
        yield here


def posts(here: Site) -> list[str]:
    """The paths of what the server was asked to run, in order."""
    return [call.path for call in here.simulator.calls if call.method == "POST"]


def body(path: str, **more: Any) -> dict[str, Any]:
    asked: dict[str, Any] = {"model": "m"}
    if path == RESPONSES:
        return asked | {"input": "one two three"} | more
    user = {"role": "user", "content": "one two three"}
    return asked | {"max_tokens": 99, "messages": [user]} | more


@KIND
@PATH
async def test_a_server_without_the_path_is_asked_in_a_form_that_it_has(kind, path):
    async with lacking(kind) as here:
        here.simulator.push(Script(text="Paris"))
        answer = await here.oq.post(path, json=body(path))
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "application/json"
        said = answer.json()
        if path == RESPONSES:
            assert said["output"][0]["content"][0]["text"] == "Paris"
            assert (said["object"], said["status"]) == ("response", "completed")
        else:
            assert said["content"] == [{"type": "text", "text": "Paris"}]
            assert said["stop_reason"] == "end_turn"
        assert posts(here) == [path, FORM[kind]]
        task = await here.task(answer)
        assert (task["status"], task["result"]) == ("completed", said)
        assert task["usage"]["completion_tokens"] > 0


@KIND
@PATH
async def test_a_server_that_lacks_both_paths_says_so_itself(kind, path):
    own = '{"error": {"message": "only embeddings here", "hint": 7}}'
    async with lacking(kind, "/nothing") as here:
        headers = (("x-request-id", "r-1"),)
        here.simulator.push(Script(status=404, body=own, headers=headers))
        here.simulator.push(Script(status=404, body="no such page"))
        answer = await here.oq.post(path, json=body(path))
        assert (answer.status_code, answer.text) == (404, own)
        assert answer.headers["x-request-id"] == "r-1"
        assert posts(here) == [path, FORM[kind]]


@KIND
@PATH
@pytest.mark.parametrize("stream", [False, True])
async def test_a_server_may_say_it_under_any_status(kind, path, stream):
    """LM Studio does."""
    async with lacking(kind, "/nothing") as here:
        here.simulator.push(Script(body='{"error":"Unexpected endpoint or method. (POST /x)"}'))
        answer = await here.oq.post(path, json=body(path, stream=stream))
        assert answer.status_code == 200
        assert "one" in answer.text
        assert posts(here) == [path, FORM[kind]]


@KIND
@PATH
async def test_what_it_lacks_is_remembered(kind, path):
    async with lacking(kind) as here:
        for _ in range(3):
            assert (await here.oq.post(path, json=body(path))).status_code == 200
        assert posts(here) == [path, *[FORM[kind]] * 3]


@KIND
@PATH
async def test_a_server_with_the_path_gets_the_call_as_it_is(kind, path):
    async with lacking(kind, "/nothing") as here:
        asked = json.dumps(body(path), indent=3).encode()
        direct, through = await here.both("POST", path, content=asked)
        assert direct.status_code == through.status_code == 200
        assert posts(here) == [path, path]
        assert here.bodies(path) == [asked, asked]
        assert "x-oq-left-out" not in through.headers


@KIND
@PATH
async def test_an_unknown_model_is_no_missing_path(kind, path):
    async with lacking(kind, "/nothing") as here:
        direct, through = await here.both("POST", path, json=body(path, model="nope"))
        assert (through.status_code, through.json()) == (direct.status_code, direct.json())
        assert FORM[kind] not in posts(here)


@KIND
@PATH
@pytest.mark.parametrize("stream", [False, True])
async def test_the_error_of_a_translated_call_is_one_of_its_api(kind, path, stream):
    async with lacking(kind) as here:
        answer = await here.oq.post(path, json=body(path, model="nope", stream=stream))
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/json"
        error = answer.json()["error"]
        assert "'nope' not found" in error["message"].replace('"', "'")
        assert error["type"] == "not_found_error"
        assert answer.json().get("type") == ("error" if path == MESSAGES else None)


@KIND
@PATH
async def test_what_cannot_be_translated_is_refused_by_its_name(kind, path):
    wrong: dict[str, Any] = {"previous_response_id": "resp_1"}
    if path == MESSAGES:
        wrong = {"tool_choice": {"type": "tool", "name": "web_search"}}
    async with lacking(kind) as here:
        answer = await here.oq.post(path, json=body(path, **wrong))
        assert answer.status_code == 400
        assert next(iter(wrong)) in answer.json()["error"]["message"]
        assert posts(here) == [path]


@KIND
@PATH
@pytest.mark.parametrize("stream", [False, True])
async def test_what_is_left_out_is_named(kind, path, stream):
    tool = {"type": "web_search"} if path == RESPONSES else {"type": "bash_1", "name": "bash"}
    hint = {"service_tier": "priority"}
    async with lacking(kind) as here:
        answer = await here.oq.post(path, json=body(path, tools=[tool], stream=stream, **hint))
        named = f"tools[0] ({tool['type']}), service_tier"
        assert answer.headers["x-oq-left-out"] == named
        again = await here.oq.post(path, json=body(path, stream=stream))
        assert "x-oq-left-out" not in again.headers


@PATH
@pytest.mark.parametrize(
    ("refused", "without"),
    [(("stream_options",), {"stream_options"}), (("stream_options", "stream"), {"stream_options"})],
)
async def test_a_server_that_refuses_counts_or_streams_is_asked_without(path, refused, without):
    async with lacking("openai") as here:
        here.simulator.default = Script(
            text="one two three", status=422, error="no stream_options, no stream", refuses=refused
        )
        for _ in range(2):
            answer = await here.oq.post(path, json=body(path, stream=True))
            assert answer.status_code == 200, answer.text
            assert answer.headers["content-type"] == "text/event-stream"
            assert "three" in answer.text
            assert (await here.task(answer))["status"] == "completed"
        sent = [json.loads(one) for one in here.bodies(FORM["openai"])]
        assert "stream_options" in sent[0]
        assert all(without.isdisjoint(one) for one in sent[1:])
        assert sent[-1]["stream"] is ("stream" not in refused)


REFUSALS = {
    "ollama": ("think", '"m" does not support thinking'),
    "openai": ("reasoning_effort", "Input should be 'low', 'medium' or 'high' (reasoning_effort)"),
}


@KIND
@PATH
@pytest.mark.parametrize("stream", [False, True])
async def test_a_server_that_refuses_an_effort_is_asked_without(kind, path, stream):
    """Claude Code always sends one. Ollama's own /v1/messages bears with that, too."""
    field, error = REFUSALS[kind]
    async with lacking(kind) as here:
        here.simulator.default = Script(text="Paris", status=400, error=error, refuses=(field,))
        for _ in range(2):
            answer = await here.oq.post(
                path, json=body(path, stream=stream, **effort(path, "xhigh"))
            )
            assert answer.status_code == 200, answer.text
            assert answer.headers["x-oq-left-out"] == field
        sent = [json.loads(one) for one in here.bodies(FORM[kind])]
        assert [field in one for one in sent] == [True, False, False]


def effort(path: str, level: str = "high") -> dict[str, Any]:
    return {"reasoning" if path == RESPONSES else "output_config": {"effort": level}}


def tool(path: str, name: str) -> dict[str, Any]:
    if path == RESPONSES:
        return TOOL | {"name": name}
    return {"name": name, "input_schema": {"type": "object", "properties": {}}}


@KIND
@PATH
@pytest.mark.parametrize("said", ["unknown tool: {}", '{{"error":"tools.0: {} is odd"}}'])
async def test_an_error_that_repeats_a_callers_word_changes_no_other_call(kind, path, said):
    field = REFUSALS[kind][0]
    for name in (field, "my_REASONING-thinking_tool", "reasoning", "think"):
        async with lacking(kind) as here:
            here.simulator.push(Script(status=400, error=said.format(name)))
            echoed = body(path, tools=[tool(path, name)], **effort(path))
            await here.oq.post(path, json=echoed)
            await here.oq.post(path, json=body(path, **effort(path)))
            assert field in json.loads(here.bodies(FORM[kind])[-1])


@KIND
@PATH
async def test_a_refusal_is_remembered_only_if_the_call_succeeds_without(kind, path):
    field, error = REFUSALS[kind]
    async with lacking(kind) as here:
        for _ in range(2):
            here.simulator.push(Script(status=400, error=error))
        answer = await here.oq.post(path, json=body(path, **effort(path)))
        assert answer.status_code == 400
        await here.oq.post(path, json=body(path, **effort(path)))
        sent = [json.loads(one) for one in here.bodies(FORM[kind])]
        assert [field in one for one in sent] == [True, False, True]


@KIND
@PATH
async def test_a_level_that_is_refused_says_nothing_of_other_levels(kind, path):
    field, error = REFUSALS[kind]
    async with lacking(kind) as here:
        here.simulator.push(Script(status=400, error=error))
        for level in ("xhigh", "low", "xhigh"):
            answer = await here.oq.post(path, json=body(path, **effort(path, level)))
            assert answer.status_code == 200
        sent = [json.loads(one).get(field) for one in here.bodies(FORM[kind])]
        assert [level is None for level in sent] == [False, True, False, True]
        assert sent[2] == "low"


@KIND
@PATH
@pytest.mark.parametrize(
    ("status", "said", "name"),
    [
        (404, "Item with id 'rs_1' not found.", "rs_1"),
        (405, "no such thing: rs_1", "RS_1"),
        (400, "tools.0: unexpected endpoint", "an Unexpected Endpoint of mine"),
    ],
)
async def test_an_error_about_what_a_caller_wrote_is_no_missing_path(
    kind, path, status, said, name
):
    async with lacking(kind, "/nothing") as here:
        here.simulator.push(Script(status=status, error=said))
        own = tool(path, "f") | {"description": name}
        await here.oq.post(path, json=body(path, tools=[own]))
        await here.oq.post(path, json=body(path))
        assert posts(here) == [path, FORM[kind], path]


@KIND
@PATH
async def test_a_path_is_missing_only_if_the_call_succeeds_without(kind, path):
    async with lacking(kind, "/nothing") as here:
        here.simulator.push(Script(status=405, error="Method Not Allowed"))
        here.simulator.push(Script(status=400, error="nor this"))
        answer = await here.oq.post(path, json=body(path))
        assert answer.status_code == 400
        await here.oq.post(path, json=body(path))
        assert posts(here) == [path, FORM[kind], path]


@KIND
async def test_openais_client(kind):
    async with lacking(kind) as here, httpx2.AsyncClient() as http:
        base = f"{here.oq.base_url}/v1"
        client = openai.AsyncOpenAI(base_url=base, api_key="-", http_client=http, max_retries=0)
        here.simulator.push(Script(text="Paris", thinking="Hm.", tool_calls=CALLED))
        asked: Any = {"input": "?", "tools": [TOOL], "reasoning": {"effort": "low"}}
        async with client.responses.stream(model="m", **asked) as stream:
            response = await stream.get_final_response()
        kinds = [item.type for item in response.output]
        assert kinds[0] == "reasoning"
        assert response.output_text == "" if "message" not in kinds else response.output_text
        [call] = [item for item in response.output if item.type == "function_call"]
        assert (call.name, json.loads(call.arguments)) == ("f", {"a": 1})
        assert response.usage is not None
        assert response.usage.output_tokens > 0
        whole = await client.responses.create(model="m", input="one two three")
        assert whole.output_text
        with pytest.raises(openai.NotFoundError, match="nope"):
            await client.responses.create(model="nope", input="?")


@KIND
async def test_anthropics_client(kind):
    async with lacking(kind) as here, httpx2.AsyncClient() as http:
        base = str(here.oq.base_url)
        client = anthropic.AsyncAnthropic(
            base_url=base, api_key="-", http_client=http, max_retries=0
        )
        here.simulator.push(Script(text="Paris", thinking="Hm.", tool_calls=CALLED))
        user: Any = {"role": "user", "content": "?"}
        tool: Any = {"name": "f", "input_schema": {"type": "object"}}
        asked: Any = {"model": "m", "max_tokens": 99, "messages": [user]}
        thinking: Any = {"type": "enabled", "budget_tokens": 1024}
        async with client.messages.stream(**asked, tools=[tool], thinking=thinking) as stream:
            message = await stream.get_final_message()
        assert message.content[0].type == "thinking"
        [call] = [block for block in message.content if block.type == "tool_use"]
        assert (call.name, call.input) == ("f", {"a": 1})
        assert message.stop_reason == "tool_use"
        assert message.usage.output_tokens > 0
        whole = await client.messages.create(**asked)
        assert whole.content[0].text
        with pytest.raises(anthropic.NotFoundError, match="nope"):
            await client.messages.create(**asked | {"model": "nope"})


@KIND
@PATH
async def test_a_stream_that_breaks_off_says_so(kind, path):
    async with lacking(kind, retry_config={"max_retries": 0}) as here:
        here.simulator.push(Script(text="one two three", fault="error", at=2, error="kaput"))
        answer = await here.oq.post(path, json=body(path, stream=True))
        frames = answer.text.strip().split("\n\n")
        assert frames[0].startswith("event: response.created" if path == RESPONSES else "event: m")
        last = json.loads(frames[-1].partition("data: ")[2])
        assert last["type"] == ("response.failed" if path == RESPONSES else "error")
        assert last["error"]["message"] == "kaput"
        assert (await here.task(answer))["status"] == "failed"


@KIND
@pytest.mark.parametrize("lacks", [(RESPONSES,), ("/nothing",)], ids=["translated", "native"])
@pytest.mark.parametrize("progress", ["true", "false"])
async def test_a_stream_that_is_cut_ends_with_the_failure_of_the_response_that_began(
    kind, lacks, progress
):
    async with lacking(kind, *lacks) as here:
        here.simulator.push(Script(text="one two three", fault="cut_between", at=2))
        headers = {"X-OQ-Progress": progress}
        answer = await here.oq.post(RESPONSES, json=body(RESPONSES, stream=True), headers=headers)
        said = [json.loads(line[6:]) for line in answer.text.split("\n") if line[:6] == "data: "]
        said = [one for one in said if one["type"] != "keepalive"]
        assert [one["sequence_number"] for one in said] == [*range(len(said))]
        assert (said[0]["type"], said[-1]["type"]) == ("response.created", "response.failed")
        assert said[-1]["response"]["id"] == said[0]["response"]["id"]
        assert "lost" in said[-1]["response"]["error"]["message"]


@KIND
@PATH
async def test_hanging_up_stops_the_model(kind, path):
    async with lacking(kind) as here:
        here.simulator.push(Script(fault="hang", at=2))
        async with here.oq.stream("POST", path, json=body(path, stream=True)) as answer:
            await first_part(answer)
        [_, running] = [call for call in here.simulator.calls if call.method == "POST"]
        with trio.fail_after(10):
            await running.hung_up.wait()


@KIND
async def test_tokens_are_counted_where_a_server_counts_them(kind):
    count = f"{MESSAGES}/count_tokens"
    async with lacking(kind, "/nothing") as here:
        direct, through = await here.both("POST", count, json=body(MESSAGES))
        assert direct.status_code == through.status_code
        assert through.content == direct.content

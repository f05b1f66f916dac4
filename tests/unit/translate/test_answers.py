"""What callers get of an answer that a server gave in another form.

The official clients judge it: each event must be one that their types allow, and what they put
together from a stream must be what the answer says.
"""

from __future__ import annotations

import json
from typing import Any

import anthropic
import httpx2
import openai
import pytest
from anthropic.types import Message, RawMessageStreamEvent
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from oq.dialects import ENDPOINTS
from oq.dialects.base import Told
from oq.words.errors import BackendFailure, BackendRejected
from tests.unit.translate.ways import (
    EVERYTHING,
    MESSAGES,
    NOW,
    PLAIN,
    RESPONSES,
    call,
    data,
    delta,
    events,
    lines,
    said,
    told,
    translated,
    usage,
)

OF_RESPONSES = TypeAdapter(ResponseStreamEvent)
OF_MESSAGES = TypeAdapter(RawMessageStreamEvent)
TOOLS = [
    {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": True},
    {"type": "namespace", "name": "ns", "description": "", "tools": [
        {"type": "function", "name": "g", "parameters": {"type": "object"}},
        {"type": "custom", "name": "edit"},
    ]},
]  # fmt: skip
FORM = pytest.mark.parametrize("form", ["chat", "ollama"])


def typed(path: str, frames: list[bytes]) -> list[Any]:
    """The events, once the official client's types have taken each of them."""
    all_said = [data(frame) for frame in frames]
    kind = OF_RESPONSES if path == RESPONSES else OF_MESSAGES
    for one in all_said:
        kind.validate_python(one, strict=True)
    return all_said


def by_openai(frames: list[bytes], **asked: Any) -> Any:
    """What the official client of OpenAI puts together."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        kind = {"content-type": "text/event-stream"}
        return httpx2.Response(200, headers=kind, content=b"".join(frames))

    transport = httpx2.Client(transport=httpx2.MockTransport(answer))
    client = openai.OpenAI(base_url="http://x/v1", api_key="-", http_client=transport)
    with client.responses.stream(model="m", input="?", **asked) as stream:
        return stream.get_final_response()


def by_anthropic(frames: list[bytes]) -> Any:
    """What the official client of Anthropic puts together."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        kind = {"content-type": "text/event-stream"}
        return httpx2.Response(200, headers=kind, content=b"".join(frames))

    transport = httpx2.Client(transport=httpx2.MockTransport(answer))
    client = anthropic.Anthropic(base_url="http://x", api_key="-", http_client=transport)
    user: Any = {"role": "user", "content": "?"}
    with client.messages.stream(model="m", max_tokens=9, messages=[user]) as stream:
        return stream.get_final_message()


@FORM
def test_a_response_is_streamed_as_openai_streams_it(form):
    frames = told(translated(RESPONSES, form, stream=True, tools=TOOLS), EVERYTHING[form])
    every = typed(RESPONSES, frames)
    assert [one["sequence_number"] for one in every] == list(range(len(every)))
    kinds = [(one["type"].removeprefix("response."), one.get("output_index")) for one in every]
    assert kinds == [
        ("created", None),
        ("in_progress", None),
        ("output_item.added", 0),
        ("reasoning_summary_part.added", 0),
        ("reasoning_summary_text.delta", 0),
        ("reasoning_summary_text.delta", 0),
        ("reasoning_summary_text.done", 0),
        ("reasoning_summary_part.done", 0),
        ("output_item.done", 0),
        ("output_item.added", 1),
        ("content_part.added", 1),
        ("output_text.delta", 1),
        ("output_text.delta", 1),
        ("output_text.done", 1),
        ("content_part.done", 1),
        ("output_item.done", 1),
        ("output_item.added", 2),
        *[("function_call_arguments.delta", 2)] * (2 if form == "chat" else 1),
        ("function_call_arguments.done", 2),
        ("output_item.done", 2),
        ("output_item.added", 3),
        ("function_call_arguments.delta", 3),
        ("function_call_arguments.done", 3),
        ("output_item.done", 3),
        ("completed", None),
    ]
    items = {one["item"]["id"]: one["output_index"] for one in every if "item" in one}
    assert len(items) == 4
    assert all(items[one["item_id"]] == one["output_index"] for one in every if "item_id" in one)


@FORM
def test_openais_client_puts_it_together(form):
    frames = told(translated(RESPONSES, form, stream=True, tools=TOOLS), EVERYTHING[form])
    response = by_openai(frames)
    assert response.output_text == "Paris"
    thought, _, first, second = response.output
    assert thought.summary[0].text == "Hm."
    assert (first.call_id, first.name, first.arguments.replace(" ", "")) == (
        "call_a", "f", '{"a":1}',
    )  # fmt: skip
    assert (second.name, second.namespace, second.arguments) == ("g", "ns", "{}")
    assert second.call_id
    assert response.status == "completed"
    counts = response.usage
    if form == "chat":
        assert (counts.input_tokens, counts.output_tokens, counts.total_tokens) == (30, 20, 50)
        assert counts.input_tokens_details.cached_tokens == 10
        assert counts.output_tokens_details.reasoning_tokens == 5
    else:
        assert (counts.input_tokens, counts.output_tokens) == (3, 2)


@FORM
def test_a_message_is_streamed_as_anthropic_streams_it(form):
    frames = told(translated(MESSAGES, form, stream=True), EVERYTHING[form])
    every = typed(MESSAGES, frames)
    two = 2 if form == "chat" else 1
    assert [(one["type"], one.get("index")) for one in every] == [
        ("message_start", None),
        ("content_block_start", 0),
        ("content_block_delta", 0),
        ("content_block_delta", 0),
        ("content_block_stop", 0),
        ("content_block_start", 1),
        ("content_block_delta", 1),
        ("content_block_delta", 1),
        ("content_block_stop", 1),
        ("content_block_start", 2),
        *[("content_block_delta", 2)] * two,
        ("content_block_stop", 2),
        ("content_block_start", 3),
        ("content_block_delta", 3),
        ("content_block_stop", 3),
        ("message_delta", None),
        ("message_stop", None),
    ]


@FORM
def test_anthropics_client_puts_it_together(form):
    message = by_anthropic(told(translated(MESSAGES, form, stream=True), EVERYTHING[form]))
    thought, text, first, second = message.content
    assert (thought.thinking, text.text) == ("Hm.", "Paris")
    assert (first.id, first.name, first.input) == ("call_a", "f", {"a": 1})
    assert (second.name, second.input) == ("g", {})
    assert second.id
    assert message.stop_reason == "tool_use"
    usage = message.usage
    if form == "chat":
        assert (usage.input_tokens, usage.cache_read_input_tokens, usage.output_tokens) == (
            20,
            10,
            20,
        )
    else:
        assert (usage.input_tokens, usage.output_tokens) == (3, 2)


@FORM
@pytest.mark.parametrize("path", [RESPONSES, MESSAGES])
def test_a_whole_answer_says_what_the_stream_says(path, form):
    """Whether the server gives it as one object, or as a stream all the same."""
    how = translated(path, form)
    streamed = how.whole(EVERYTHING[form], "x1", NOW)
    if form == "chat":
        function = {"name": "f", "arguments": '{"a": 1}'}
        other = {"name": "g", "arguments": "{}"}
        message = {
            "role": "assistant",
            "reasoning_content": "Hm.",
            "content": "Paris",
            "tool_calls": [
                {"id": "call_a", "type": "function", "function": function},
                {"id": "call_b", "type": "function", "function": other},
            ],
        }
        choices = [{"index": 0, "message": message, "finish_reason": "tool_calls"}]
        body = json.dumps({"choices": choices, "usage": usage(30, 20, 10, 5)["usage"]}).encode()
    else:
        one = {"id": "call_a", "function": {"name": "f", "arguments": {"a": 1}}}
        two = {"function": {"name": "g", "arguments": {}}}
        body = lines(said("stop", thinking="Hm.", content="Paris", tool_calls=[one, two])).rstrip()
    whole = how.whole(body, "x1", NOW)
    assert json.loads(whole.replace(b" ", b"")) == json.loads(streamed.replace(b" ", b""))
    (Response if path == RESPONSES else Message).model_validate_json(whole, strict=True)


@pytest.mark.parametrize(
    ("path", "form", "kind"),
    [(p, f, k) for p in (RESPONSES, MESSAGES) for f in ("chat", "ollama") for k in ("all", "text")],
)
@given(cuts=st.lists(st.integers(0, 900), max_size=8))
def test_it_does_not_matter_how_the_network_cuts(path, form, kind, cuts):
    stream = (EVERYTHING if kind == "all" else PLAIN)[form]
    how = translated(path, form, stream=True)
    cut = told(how, stream, [min(cut, len(stream)) for cut in cuts])
    assert cut == told(how, stream)


@pytest.mark.parametrize("path", [RESPONSES, MESSAGES])
@pytest.mark.parametrize(
    ("form", "stream"),
    [
        ("chat", b""),
        ("chat", events()),
        ("chat", events(usage(3, 0))),
        ("chat", events(delta(content="Pa"), done=False)),
        ("ollama", b""),
        ("ollama", lines(said(content="Pa"))),
    ],
)
def test_what_is_cut_or_says_nothing_is_no_answer(path, form, stream):
    with pytest.raises(BackendFailure):
        told(translated(path, form, stream=True), stream)
    with pytest.raises(BackendFailure):
        translated(path, form).whole(stream, "x1", NOW)


@pytest.mark.parametrize("path", [RESPONSES, MESSAGES])
@pytest.mark.parametrize(
    ("form", "stream", "raised"),
    [
        ("chat", events({"error": {"code": 400, "message": "kaput"}}), BackendRejected),
        ("chat", events({"error": {"type": "server_error", "message": "kaput"}}), BackendFailure),
        ("chat", events({"error": {"code": 501, "message": "kaput"}}), BackendRejected),
        ("chat", b'{"error":{"code":400,"message":"kaput"}}', BackendRejected),
        ("chat", b'error: {"code":400,"message":"kaput"}\n\n', BackendRejected),
        ("ollama", lines({"error": "kaput"}), BackendFailure),
    ],
)
def test_an_error_in_the_stream_is_told_in_the_callers_form(path, form, stream, raised):
    begun = EVERYTHING[form].partition(b"\n\n" if form == "chat" else b"\n")[0]
    begun += b"\n\n" if form == "chat" else b"\n"
    for before in (b"", begun):
        with pytest.raises(raised, match="kaput") as caught:
            told(translated(path, form, stream=True), before + stream)
        frame = caught.value.frame
        assert json.loads(caught.value.body)["error"]["message"] == "kaput"
        if path == RESPONSES:
            typed(path, [frame])
            assert data(frame)["response"]["error"]["message"] == "kaput"
        else:
            assert data(frame)["error"]["message"] == "kaput"


def test_clients_raise_what_the_stream_states():
    how = translated(RESPONSES, "chat", stream=True)
    translating = how.stream("x1", NOW)
    frames = translating.feed(events(delta(content="Pa"), done=False))
    with pytest.raises(BackendFailure) as caught:
        translating.feed(events({"error": {"code": 503, "message": "kaput"}}))
    with pytest.raises(openai.APIError, match="kaput"):
        by_openai([*frames, caught.value.frame])
    assert data(caught.value.frame)["sequence_number"] == len(frames)
    sent = Told(frames[0] + frames[1], frames[-2] + frames[-1])
    frame = ENDPOINTS[RESPONSES].dialect.error_frame("kaput", sent)
    [*_, failed] = typed(RESPONSES, [*frames, frame])
    assert failed["sequence_number"] == len(frames)
    assert failed["response"]["id"] == data(frames[0])["response"]["id"]
    assert failed["response"]["status"] == "failed"
    with pytest.raises(openai.APIError, match="kaput"):
        by_openai([*frames, frame])
    frame = ENDPOINTS[MESSAGES].dialect.error_frame("kaput")
    with pytest.raises(anthropic.APIError, match="kaput"):
        by_anthropic([frame])


def test_an_error_fits_the_types_of_a_client_where_nothing_is_known_of_the_response():
    for sent in (Told(), Told(b"data: {nope\n\n", b": no event\n\n"), Told(b"data: [", b"\xff")):
        frame = ENDPOINTS[RESPONSES].dialect.error_frame("kaput", sent)
        assert typed(RESPONSES, [frame])[0]["sequence_number"] == 0


@pytest.mark.parametrize(
    ("reason", "status", "stop"),
    [
        ("stop", ("completed", None), "end_turn"),
        ("length", ("incomplete", "max_output_tokens"), "max_tokens"),
        ("content_filter", ("incomplete", "content_filter"), "refusal"),
    ],
)
def test_why_an_answer_ends(reason, status, stop):
    stream = events(delta(content="Pa"), delta(reason))
    last = typed(RESPONSES, told(translated(RESPONSES, "chat", stream=True), stream))[-1]
    assert last["type"] == f"response.{status[0]}"
    details = last["response"]["incomplete_details"]
    assert (last["response"]["status"], details and details["reason"]) == status
    assert by_anthropic(told(translated(MESSAGES, "chat", stream=True), stream)).stop_reason == stop


@pytest.mark.parametrize("reason", ["stop", "length"])
def test_an_item_that_was_cut_is_incomplete(reason):
    stream = events(delta(content="Pa"), call(0, "a", "f", '{"x":'), delta(reason))
    last = typed(RESPONSES, told(translated(RESPONSES, "chat", stream=True), stream))[-1]
    statuses = [one["status"] for one in last["response"]["output"]]
    assert statuses == ["completed", "completed" if reason == "stop" else "incomplete"]


def test_which_text_has_stopped_it():
    """vLLM says it beside the reason."""
    end = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop", "stop_reason": "END"}]}
    stream = events(delta(content="Pa"), end)
    message = by_anthropic(told(translated(MESSAGES, "chat", stream=True), stream))
    assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", "END")


def test_chunks_are_counted_where_the_server_counts_nothing():
    stream = events(delta(content="Pa"), delta(content="ris"), delta("stop"))
    response = by_openai(told(translated(RESPONSES, "chat", stream=True), stream))
    assert response.usage.output_tokens == 2
    message = by_anthropic(told(translated(MESSAGES, "chat", stream=True), stream))
    assert message.usage.output_tokens == 2


def test_a_refusal_is_one():
    stream = events(delta(refusal="No"), delta(refusal="."), delta("stop"))
    frames = told(translated(RESPONSES, "chat", stream=True), stream)
    typed(RESPONSES, frames)
    assert by_openai(frames).output[0].content[0].refusal == "No."
    message = by_anthropic(told(translated(MESSAGES, "chat", stream=True), stream))
    assert (message.content[0].text, message.stop_reason) == ("No.", "refusal")


def calls_in(stream: bytes) -> list[tuple[str, Any]]:
    """The calls as either caller reads them."""
    response = by_openai(told(translated(RESPONSES, "chat", stream=True), stream))
    ours = [(one.name, json.loads(one.arguments)) for one in response.output if one.name]
    message = by_anthropic(told(translated(MESSAGES, "chat", stream=True), stream))
    assert [(block.name, block.input) for block in message.content] == ours
    assert len({one.call_id for one in response.output}) == len(response.output)
    return ours


@pytest.mark.parametrize(
    "chunks",
    [
        # one after the other, as most servers do
        (call(0, "a", "f", '{"x":'), call(0, None, None, "1}"), call(1, "b", "g", '{"y":2}')),
        # at once: each goes on while the other is not whole
        (call(0, "a", "f", ""), call(1, "b", "g", ""), call(1, None, None, '{"y":2}'),
         call(0, None, None, '{"x":1}')),
        # all at the index 0 (Ollama, lmdeploy)
        (call(0, "a", "f", '{"x":1}'), call(0, "b", "g", '{"y":2}')),
        (call(0, None, "f", '{"x":1}'), call(0, None, "g", '{"y":2}')),
        # id and name in each chunk
        (call(0, "a", "f", '{"x"'), call(0, "a", "f", ":1}"), call(1, "b", "g", '{"y":2}')),
        # no index, or no id
        (delta(tool_calls=[{"id": "a", "function": {"name": "f", "arguments": '{"x":'}},
                           {"id": "a", "function": {"arguments": "1}"}}]),
         delta(tool_calls=[{"id": "b", "function": {"name": "g", "arguments": {"y": 2}}}])),
    ],
)  # fmt: skip
def test_calls_that_servers_stream_in_their_own_ways(chunks):
    assert calls_in(events(*chunks, delta("tool_calls"))) == [("f", {"x": 1}), ("g", {"y": 2})]


def test_two_calls_of_one_tool_at_one_index():
    chunks = [call(0, None, "f", '{"x":1}'), call(0, None, "f", '{"x":2}')]
    assert calls_in(events(*chunks, delta("tool_calls"))) == [("f", {"x": 1}), ("f", {"x": 2})]


def test_a_call_without_arguments_has_an_empty_object():
    assert calls_in(events(call(0, "a", "f", ""), delta("tool_calls"))) == [("f", {})]


def test_arguments_that_are_no_object_are_kept():
    stream = events(call(0, "a", "f", "{oops"), delta("tool_calls"))
    message = json.loads(translated(MESSAGES, "chat").whole(stream, "x1", NOW))
    assert message["content"][0]["input"] == {"arguments": "{oops"}


@pytest.mark.parametrize("nothing", ["", " ", "null"])
def test_a_whole_call_without_arguments_has_an_empty_object(nothing):
    stream = events(call(0, "a", "f", nothing), delta("tool_calls"))
    message = json.loads(translated(MESSAGES, "chat").whole(stream, "x1", NOW))
    assert message["content"][0]["input"] == {}


def test_an_answer_has_one_end():
    translating = translated(RESPONSES, "chat", stream=True).stream("x1", NOW)
    translating.feed(PLAIN["chat"])
    assert typed(RESPONSES, translating.end())[-1]["type"] == "response.completed"
    assert translating.end() == []


def test_odd_bits_of_calls_spoil_nothing():
    odd = [
        call(0, None, None, '{"lost":1}'),
        delta(tool_calls=[None, {}, {"function": 3}, {"index": 7, "function": {}}]),
        delta(tool_calls={}),
        call(0, "a", "f", "{}"),
        call(1, "b", "g", "{}"),
        call(0, None, None, "late"),
    ]
    assert calls_in(events(*odd, delta("tool_calls"))) == [("f", {}), ("g", {})]


def test_text_after_a_call_is_not_lost():
    stream = events(call(0, "a", "f", '{"x":'), delta(content="Pa"), call(0, None, None, "1}"),
                    delta(content="ris"), delta("stop"))  # fmt: skip
    response = by_openai(told(translated(RESPONSES, "chat", stream=True), stream))
    assert (response.output[0].arguments, response.output_text) == ('{"x":1}', "Paris")


@pytest.mark.parametrize(
    "chunk",
    [
        delta(reasoning="Hm"),
        delta(reasoning_content="Hm", reasoning="Hm"),
        delta(content=[{"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}]),
        delta(content=[{"type": "thinking", "thinking": "Hm"}]),
    ],
)
def test_thoughts_come_in_several_forms(chunk):
    text = delta(content=[{"type": "text", "text": "Paris"}])
    stream = events(chunk, text, delta("stop"))
    response = by_openai(told(translated(RESPONSES, "chat", stream=True), stream))
    assert (response.output[0].summary[0].text, response.output_text) == ("Hm", "Paris")


@pytest.mark.parametrize(
    "odd",
    [
        {"choices": None},
        {"choices": [None]},
        {"choices": [{"index": 0, "delta": None}]},
        {"choices": [{"index": 1, "delta": {"content": "another choice"}}]},
        {"choices": [], "usage": {"prompt_tokens": 7.0, "completion_tokens": None}},
        {"usage": None, "choices": []},
        delta(content=None, tool_calls=None),
    ],
)
def test_one_odd_chunk_does_not_spoil_the_answer(odd):
    stream = events(delta(content="Pa"), odd, delta(content="ris"), delta("stop"))
    assert (
        by_openai(told(translated(RESPONSES, "chat", stream=True), stream)).output_text == "Paris"
    )


@pytest.mark.parametrize(
    ("form", "stream"),
    [("chat", b"data: oops\n\n"), ("chat", b"<h1>oops</h1>\n\n"), ("ollama", b"oops\n")],
)
def test_what_is_no_json_is_a_failure(form, stream):
    with pytest.raises(BackendFailure, match="oops"):
        told(translated(RESPONSES, form, stream=True), stream)


def test_a_whole_answer_may_have_blank_lines():
    body = json.dumps({"choices": [{"message": {"content": "Paris"}, "finish_reason": "stop"}]})
    spaced = body.replace(",", ",\n\n").encode() + b"\n\n"
    response = json.loads(translated(RESPONSES, "chat").whole(spaced, "x1", NOW))
    assert response["output"][0]["content"][0]["text"] == "Paris"


def test_lines_of_events_that_have_no_data():
    stream = b": here\n\nretry: 3\n\ndata: null\n\n" + PLAIN["chat"]
    how = translated(RESPONSES, "chat", stream=True)
    assert by_openai(told(how, stream)).output_text == "Paris"


def test_a_character_that_was_cut_in_two_is_put_together():
    """JavaScript cuts between the halves of a surrogate pair."""
    halves = (b'{"content":"a\\ud83d"}', b'{"content":"\\ude42b\\ud83d"}')
    stream = b"".join(b'data: {"choices":[{"delta":%b}]}\n\n' % half for half in halves)
    stream += events(delta("stop"))
    response = by_openai(told(translated(RESPONSES, "chat", stream=True), stream))
    assert response.output_text == "a\U0001f642b\ufffd"
    message = by_anthropic(told(translated(MESSAGES, "chat", stream=True), stream))
    assert message.content[0].text == "a\U0001f642b\ufffd"
    stream = lines(
        said(tool_calls=[{"id": "\ud83d", "function": {"name": "f\ude42"}}]), said("stop")
    )
    for path in (RESPONSES, MESSAGES):
        typed(path, told(translated(path, "ollama", stream=True), stream))


def test_a_custom_tool_gets_its_text():
    name = "ns__edit"
    stream = events(call(0, "a", name, '{"input":'), call(0, None, None, '"x"}'), delta("stop"))
    frames = told(translated(RESPONSES, "chat", stream=True, tools=TOOLS), stream)
    every = typed(RESPONSES, frames)
    item = every[-1]["response"]["output"][0]
    assert item["type"] == "custom_tool_call"
    assert (item["name"], item["namespace"], item["input"]) == ("edit", "ns", "x")
    assert [one["input"] for one in every if one["type"].endswith("input.done")] == ["x"]


def test_a_custom_tool_gets_what_the_model_said_if_that_is_no_json():
    stream = events(call(0, "a", "ns__edit", "*** Begin"), delta("stop"))
    frames = told(translated(RESPONSES, "chat", stream=True, tools=TOOLS), stream)
    assert typed(RESPONSES, frames)[-1]["response"]["output"][0]["input"] == "*** Begin"


@pytest.mark.parametrize("name", ["ns__g", "g"])
def test_a_tool_is_found_by_either_name(name):
    stream = events(call(0, "a", name, "{}"), delta("stop"))
    how = translated(RESPONSES, "chat", stream=True, tools=TOOLS)
    item = typed(RESPONSES, told(how, stream))[-1]["response"]["output"][0]
    assert (item["name"], item["namespace"]) == ("g", "ns")


def test_thoughts_come_back_where_that_is_asked_for():
    asked = {"stream": True, "include": ["reasoning.encrypted_content"]}
    for form in EVERYTHING:
        frames = told(translated(RESPONSES, form, **asked), EVERYTHING[form])
        thought = typed(RESPONSES, frames)[-1]["response"]["output"][0]
        assert thought["encrypted_content"] == "Hm."


def test_a_response_says_what_it_was_asked():
    asked = {
        "instructions": "Be brief.",
        "metadata": {"a": "b"},
        "temperature": 0.5,
        "max_output_tokens": 7,
        "tools": TOOLS[:1],
        "reasoning": {"effort": "low", "summary": None},
        "text": {"verbosity": "low"},
    }
    response = json.loads(translated(RESPONSES, "chat", **asked).whole(PLAIN["chat"], "x1", NOW))
    again = {key: value for key, value in response.items() if key in asked}
    assert again == {**asked, "text": {"format": {"type": "text"}, "verbosity": "low"}}
    assert (response["id"], response["created_at"]) == ("resp_x1", int(NOW.timestamp()))
    Response.model_validate(response, strict=True)


@pytest.mark.parametrize("path", [RESPONSES, MESSAGES])
def test_an_error_of_the_server_is_told_in_the_callers_form(path):
    how = translated(path, "ollama")
    said = json.loads(how.error(404, b'{"error":"model \\"m\\" not found"}'))
    assert said["error"]["message"] == 'model "m" not found'
    assert said["error"]["type"] == "not_found_error"


def test_an_answer_is_bounded():
    stream = events(*[delta(content="x" * 1000)] * 100, delta("stop"))
    for path in (RESPONSES, MESSAGES):
        with pytest.raises(BackendFailure, match="max_answer"):
            translated(path, "chat").whole(stream, "x1", NOW, limit=50_000)


def test_calls_of_ollamas_that_are_none_spoil_nothing():
    odd = [None, {}, {"function": 3}, {"function": {"name": None}}]
    good = {"function": {"name": "f", "arguments": {"x": 1}}}
    stream = lines(said(content="Pa", tool_calls=[*odd, good]), said("stop", tool_calls=odd))
    response = by_openai(told(translated(RESPONSES, "ollama", stream=True), stream))
    text, made = response.output
    assert (text.content[0].text, made.name, json.loads(made.arguments)) == ("Pa", "f", {"x": 1})

"""Messages in Anthropic's form, and what its API says of itself."""

from __future__ import annotations

import json
from typing import Any

import pytest

from oq.dialects import ENDPOINTS, dialect_at
from oq.dialects.anthropic import ANTHROPIC
from oq.dialects.anthropic_fold import MAX_BLOCKS, AnthropicFold
from oq.words.errors import BackendFailure, BackendRejected
from oq.words.stream import Piece
from oq.words.task import Usage

START = {
    "type": "message_start",
    "message": {"id": "m", "type": "message", "content": [], "usage": {"input_tokens": 3}},
}
STOP = {"type": "message_stop"}


def folded(*events: Any) -> Any:
    fold = AnthropicFold()
    for event in events:
        data = event if isinstance(event, bytes) else json.dumps(event).encode()
        fold.add(data, b"data: " + data + b"\n\n")
    return fold.completed()


def begin(index: Any, block: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def delta(index: Any, kind: str, **bit: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **bit}}


def end(reason: str | None, **usage: Any) -> dict[str, Any]:
    return {"type": "message_delta", "delta": {"stop_reason": reason}, "usage": usage}


def test_every_kind_of_block_is_put_together():
    done = folded(
        START,
        begin(0, {"type": "thinking", "thinking": "", "signature": ""}),
        delta(0, "thinking_delta", thinking="Hm"),
        delta(0, "thinking_delta", thinking="."),
        delta(0, "signature_delta", signature="s"),
        begin(1, {"type": "text", "text": "Pa"}),
        delta(1, "text_delta", text="ris"),
        begin(2, {"type": "tool_use", "id": "t", "name": "f", "input": {}}),
        delta(2, "input_json_delta", partial_json='{"a":'),
        delta(2, "input_json_delta", partial_json=" 1}"),
        begin(3, {"type": "tool_use", "id": "u", "name": "g", "input": {"b": 2}}),
        end("tool_use", output_tokens=7.0, input_tokens=None),
        STOP,
    )
    message = json.loads(done.result)
    assert message["content"] == [
        {"type": "thinking", "thinking": "Hm.", "signature": "s"},
        {"type": "text", "text": "Paris"},
        {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}},
        {"type": "tool_use", "id": "u", "name": "g", "input": {"b": 2}},
    ]
    assert message["stop_reason"] == "tool_use"
    assert done.usage == Usage(3, 7)


@pytest.mark.parametrize("bits", [[""], ["", " "], ["null"], ["nu", "ll"]])
@pytest.mark.parametrize("begun", [{"input": {}}, {"input": {"b": 2}}, {"input": None}, {}])
def test_a_tool_without_arguments_keeps_the_input_that_its_block_began_with(begun, bits):
    done = folded(
        START,
        begin(0, {"type": "tool_use", "id": "t", "name": "f", **begun}),
        *(delta(0, "input_json_delta", partial_json=bit) for bit in bits),
        end("tool_use"),
        STOP,
    )
    [block] = json.loads(done.result)["content"]
    assert block["input"] == (begun.get("input") or {})


def test_cached_tokens_are_tokens_of_the_prompt():
    message = {"type": "message", "content": [], "stop_reason": "end_turn"}
    usage = {"input_tokens": 1, "cache_read_input_tokens": 10, "cache_creation_input_tokens": 100}
    assert folded({**message, "usage": usage}).usage == Usage(111, 0)
    assert folded({**message, "usage": {"input_tokens": "x", "output_tokens": -1}}).usage == Usage(
        0, 0
    )
    assert folded(message).usage is None


def test_input_that_is_no_json_is_kept_as_it_came():
    done = folded(
        START,
        begin(0, {"type": "tool_use", "id": "t", "name": "f", "input": {}}),
        delta(0, "input_json_delta", partial_json="{oops"),
        STOP,
    )
    assert json.loads(done.result)["content"][0]["input"] == "{oops"


@pytest.mark.parametrize(
    "odd",
    [
        b"no json",
        b"null",
        b'{"type": null}',
        {"type": "unheard_of"},
        {"type": "ping"},
        begin("x", {"type": "text"}),
        begin(1, None),
        delta(7, "text_delta", text="lost"),
        delta(0, "text_delta", text=None),
        delta(0, "new_delta", text="?"),
        {"type": "message_delta", "delta": None, "usage": None},
        b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"\\ud83e"}}',
    ],
)
def test_one_odd_event_does_not_spoil_the_answer(odd):
    start = begin(0, {"type": "text", "text": ""})
    done = folded(START, start, delta(0, "text_delta", text="Paris"), odd, end("end_turn"), STOP)
    assert (ANTHROPIC.text(json.loads(done.result)) or "").startswith("Paris")


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        ({"type": "invalid_request_error", "message": "kaput"}, BackendRejected),
        ({"type": "not_found_error", "message": "kaput"}, BackendRejected),
        ({"type": "overloaded_error", "message": "kaput"}, BackendFailure),
        ({"type": "rate_limit_error", "message": "kaput"}, BackendFailure),
        ({"type": "api_error", "message": "kaput"}, BackendFailure),
        ({"type": "unheard_of", "message": "kaput"}, BackendFailure),
        ({"code": 400, "message": "kaput"}, BackendRejected),
        ({"code": 501, "message": "kaput"}, BackendRejected),
        ({"code": "503", "message": "kaput"}, BackendFailure),
    ],
)
def test_an_error_within_the_stream_is_final_if_its_status_is(error, raised):
    with pytest.raises(raised, match="kaput") as caught:
        folded(START, {"type": "error", "error": error})
    assert json.loads(ANTHROPIC.document(caught.value.body))["error"] == error
    with pytest.raises(raised, match="kaput"):
        folded({"error": error})


@pytest.mark.parametrize(
    "events", [(), (START,), (START, STOP), (START, begin(0, {"type": "text", "text": "Pa"}))]
)
def test_what_ends_too_early_or_says_nothing_is_no_answer(events):
    with pytest.raises(BackendFailure):
        folded(*events)


def test_a_stop_reason_is_an_end_too():
    assert folded(START, begin(0, {"type": "text", "text": "x"}), end("end_turn"))


def test_the_blocks_of_one_message_are_bounded():
    blocks = [begin(index, {"type": "text", "text": "x"}) for index in range(MAX_BLOCKS + 1)]
    assert len(json.loads(folded(START, *blocks, STOP).result)["content"]) == MAX_BLOCKS


def test_pieces_have_thoughts_and_calls():
    def piece(event: Any) -> Piece:
        return ANTHROPIC.piece(b"event: x\ndata: " + json.dumps(event).encode() + b"\n\n")

    assert piece(delta(0, "thinking_delta", thinking="Hm")) == Piece("", "Hm")
    [call] = piece(begin(1, {"type": "tool_use", "id": "t", "name": "f"})).tool_calls or []
    assert (call["id"], call["function"]["name"]) == ("t", "f")
    [bit] = piece(delta(1, "input_json_delta", partial_json="{")).tool_calls or []
    assert bit == {"index": 1, "function": {"arguments": "{"}}
    assert piece(START) == piece(STOP) == Piece()


def test_its_paths_are_its_own():
    assert dialect_at("/v1/messages") is dialect_at("/v1/messages/count_tokens") is ANTHROPIC
    assert ENDPOINTS["/v1/messages"].dialect is ANTHROPIC
    assert dialect_at("/v1/chat/completions") is not ANTHROPIC


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (404, "not_found_error"),
        (418, "invalid_request_error"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (502, "api_error"),
        (529, "overloaded_error"),
    ],
)
def test_its_errors(status, kind):
    said = json.loads(ANTHROPIC.error(status, "no"))
    assert said == {"type": "error", "error": {"type": kind, "message": "no"}}

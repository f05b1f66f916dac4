"""Answers of OpenAI's Responses API."""

from __future__ import annotations

import json
from typing import Any

import pytest

from oq.dialects.responses import RESPONSES
from oq.dialects.responses_fold import MAX_ITEMS, ResponsesFold
from oq.words.errors import BackendFailure, BackendRejected
from oq.words.stream import Piece
from oq.words.task import Usage

MESSAGE = {"type": "message", "content": [{"type": "output_text", "text": "Paris"}]}
CREATED = {"type": "response.created", "response": {"id": "r", "status": "in_progress"}}


def folded(*events: Any) -> Any:
    fold = ResponsesFold()
    for event in events:
        data = event if isinstance(event, bytes) else json.dumps(event).encode()
        fold.add(data, b"data: " + data + b"\n\n")
    return fold.completed()


def ended(kind: str = "completed", **response: Any) -> dict[str, Any]:
    whole = {"id": "r", "object": "response", "status": kind, "error": None, **response}
    return {"type": f"response.{kind}", "sequence_number": 9, "response": whole}


def done(index: Any, item: Any) -> dict[str, Any]:
    return {"type": "response.output_item.done", "output_index": index, "item": item}


def test_the_last_event_has_the_response():
    usage = {"input_tokens": 3, "output_tokens": 2.0}
    answer = folded(CREATED, done(0, {"type": "x"}), ended(output=[MESSAGE], usage=usage))
    assert json.loads(answer.result)["output"] == [MESSAGE]
    assert answer.usage == Usage(3, 2)
    assert RESPONSES.text(json.loads(answer.result)) == "Paris"


def test_the_text_is_that_of_the_messages():
    """Of calls, thoughts and whatever else there may be there is none."""
    odd = [None, {"type": "reasoning", "summary": []}, {"type": "message", "content": None}]
    assert RESPONSES.text({"object": "response", "output": [*odd, MESSAGE]}) == "Paris"
    assert RESPONSES.text({"object": "response", "output": odd}) is None


@pytest.mark.parametrize("output", [[], None])
def test_an_empty_output_is_made_of_the_items(output):
    answer = folded(CREATED, done(1, {"type": "b"}), done(0, {"type": "a"}), ended(output=output))
    assert [item["type"] for item in json.loads(answer.result)["output"]] == ["a", "b"]
    assert answer.usage is None


def test_an_answer_that_is_cut_by_its_limit_is_one():
    reason = {"reason": "max_output_tokens"}
    answer = folded(CREATED, ended("incomplete", output=[MESSAGE], incomplete_details=reason))
    assert json.loads(answer.result)["incomplete_details"] == reason


def test_a_whole_response_is_an_answer():
    assert folded(ended(output=[MESSAGE])["response"]).result


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        ({"code": "server_error", "message": "kaput"}, BackendFailure),
        ({"code": "rate_limit_exceeded", "message": "kaput"}, BackendFailure),
        ({"code": "invalid_prompt", "message": "kaput"}, BackendRejected),
        ({"code": 400, "type": "exceed_context_size_error", "message": "kaput"}, BackendRejected),
        ({"code": None, "message": "kaput"}, BackendFailure),
    ],
)
def test_failures_are_failures(error, raised):
    for events in (
        (CREATED, ended("failed", error=error)),
        (ended("failed", error=error)["response"],),
        ({**error, "type": "error", "sequence_number": 1},),
        ({"type": "error", "error": error},),
        ({"error": error},),
    ):
        with pytest.raises(raised, match="kaput") as caught:
            folded(*events)
        assert b"kaput" in caught.value.body


def test_a_failure_without_a_reason_is_one():
    with pytest.raises(BackendFailure, match="does not say why"):
        folded(ended("failed"))


@pytest.mark.parametrize(
    "odd",
    [b"?", b"null", b"[]", {"type": "response.new"}, {"type": "keepalive"}, done("x", {}), b"{}"],
)
def test_one_odd_event_does_not_spoil_the_answer(odd):
    assert folded(CREATED, odd, ended(output=[MESSAGE]))


def test_what_ends_too_early_is_no_answer():
    for events in ((), (CREATED,), (CREATED, done(0, MESSAGE)), (b"{}",)):
        with pytest.raises(BackendFailure):
            folded(*events)


def test_the_items_of_one_response_are_bounded():
    answer = folded(*(done(index, {}) for index in range(MAX_ITEMS + 1)), ended(output=[]))
    assert len(json.loads(answer.result)["output"]) == MAX_ITEMS


def test_an_answer_with_numbers_that_are_none_is_read():
    last = ended(output=[MESSAGE], temperature=float("nan"))
    assert RESPONSES.text(json.loads(folded(CREATED, last).result)) == "Paris"


def test_pieces_have_thoughts_and_calls():
    def piece(kind: str, **said: Any) -> Piece:
        data = json.dumps({"type": f"response.{kind}", "output_index": 1, **said}).encode()
        return RESPONSES.piece(b"event: x\ndata: " + data + b"\n\n")

    assert piece("output_text.delta", delta="Pa") == Piece("Pa")
    assert piece("refusal.delta", delta="No") == Piece("No")
    assert piece("reasoning_summary_text.delta", delta="Hm") == Piece("", "Hm")
    assert piece("reasoning_text.delta", delta="Hm") == Piece("", "Hm")
    call = {"type": "function_call", "call_id": "c", "name": "f"}
    [added] = piece("output_item.added", item=call).tool_calls or []
    assert (added["index"], added["id"], added["function"]["name"]) == (1, "c", "f")
    [bit] = piece("function_call_arguments.delta", delta="{").tool_calls or []
    assert bit == {"index": 1, "function": {"arguments": "{"}}
    assert piece("output_item.added", item={"type": "message"}) == Piece()
    assert piece("output_text.done", text="Paris") == Piece()

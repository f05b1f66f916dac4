"""A response that is kept: what the server gets, and what is said of it, from any bytes."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from oq.dialects.kept_events import KeptEvents
from oq.dialects.kept_items import items_page
from oq.dialects.kept_response import (
    Kept,
    KeptResponse,
    going_on,
    in_foreground,
    input_items,
    read_wish,
    task_of,
)
from oq.rules.stream_log import attempt_id
from oq.words.errors import InvalidTask
from oq.words.outcome import Refusal
from oq.words.task import Attempt, Status, TaskState, TaskType
from oq.words.terms import Terms

TASK = "01990000-0000-7000-8000-000000000000"
START = datetime(2026, 1, 31, 12, tzinfo=UTC)
ASKED = b'{"model":"m","input":"hi"}'


def response(
    status: Status = Status.COMPLETED, request: bytes = ASKED, previous: str | None = None,
    attempts: tuple[Attempt, ...] = (), error: str | None = None, **more: Any,
) -> KeptResponse:  # fmt: skip
    ended = START + timedelta(seconds=2) if status.ended else None
    state = TaskState(
        id=TASK, type=TaskType.CHAT, status=status,
        terms=Terms(model="m", priority=5, max_retries=0),
        created_at=START, completed_at=ended, attempts=attempts, error=error,
    )  # fmt: skip
    return KeptResponse(kept=Kept("ab" * 12, previous), state=state, request=request, **more)


def event(name: str, number: int = 0, **said: object) -> bytes:
    data = {"type": name, "sequence_number": number, **said}
    return b"event: %b\ndata: %b\n\n" % (name.encode(), msgspec.json.encode(data))


def read(said: bytes) -> list[dict[str, Any]]:
    return [
        json.loads(line.removeprefix(b"data: "))
        for line in said.splitlines()
        if line.startswith(b"data: ")
    ]


# -- what is asked


@pytest.mark.parametrize(
    ("body", "wish"),
    [
        (b'{"background": true, "store": null}', (True, None)),
        (b'{"background": "yes", "store": false}', ("yes", False)),
        (b'{"input": "\\"background\\": true"}', (None, None)),
        (b'{"background": true', (None, None)),
        (b"[" * 100_000 + b'"background"', (None, None)),
        (b'{"background": true, "input": "\\ud83e"}', (True, None)),
    ],
)
def test_the_wish_is_read_leniently(body, wish):
    found = read_wish(body)
    assert (found.background, found.store) == wish


def test_background_without_a_store_is_refused():
    with pytest.raises(InvalidTask) as caught:
        read_wish(b'{"store": false, "background": true}')
    assert caught.value.field == "store"


def test_only_the_wish_is_taken_out_of_the_body():
    body = b'{"a": 1e400, "background" : true, "b":[ 1.50 ],"store":true,"c":"\\ud83e"}'
    kept = b'{"a":1e400,"b":[ 1.50 ],"store":true,"c":"\\ufffd"}'
    assert in_foreground(body) == kept


@pytest.mark.parametrize("name", ["", "resp_1", TASK, f"resp_{TASK}", "resp_" + "g" * 56])
def test_a_foreign_id_names_no_task(name):
    assert task_of(name) is None
    assert task_of(response().id) == TASK


@pytest.mark.parametrize(
    ("given", "items"),
    [
        (b'{"input":"hi"}', [{"type": "message", "role": "user", "content": "hi"}]),
        (b'{"input":[{"a":1},2]}', [{"a": 1}, 2]),
        (b'{"input":null}', []),
        (b'{"input":{"a":1}}', []),
        (b"{}", []),
        (b"nothing", []),
    ],
)
def test_the_items_of_an_input(given, items):
    assert [json.loads(bytes(one)) for one in input_items(given)] == items


def test_items_that_are_no_objects_have_ids_too():
    page = json.loads(
        items_page(response(request=b'{"input":[1,{"id":"x"}]}'), None, 9, newest_first=False)
    )
    assert [one["id"] for one in page["data"]] == [f"item_{TASK.replace('-', '')}_0", "x"]
    empty = json.loads(items_page(response(request=b"{}"), None, 9, newest_first=True))
    assert (empty["data"], empty["first_id"], empty["has_more"]) == ([], None, False)


def test_what_was_said_before_goes_before():
    earlier = response(result=b'{"object":"response","output":[{"x":  1}]}')
    body = b'{"model":"m","previous_response_id":"resp","input":"and?","instructions":"i"}'
    made = json.loads(going_on(body, earlier))
    assert "previous_response_id" not in made
    assert made["instructions"] == "i"
    assert [one.get("content", one) for one in made["input"]] == ["hi", {"x": 1}, "and?"]


@pytest.mark.parametrize("result", [b'{"output":3}', b'{"output":{}}'])
def test_there_must_be_an_output_to_go_on_from(result):
    with pytest.raises(InvalidTask, match="no output"):
        going_on(ASKED, response(result=result))


# -- what is said of it


@pytest.mark.parametrize(
    ("result", "status"),
    [
        (b'{"object":"response","id":"x","status":"incomplete","y":  1.50}', "incomplete"),
        (b'{"object":"response","status":"queued"}', "completed"),
        (b'{"object":"response","status":["?"]}', "completed"),
        (b'{"other":1}', "completed"),
        (b"[1]", "completed"),
    ],
)
def test_it_is_the_servers_own_where_that_is_a_response(result, status):
    document = response(result=result, previous="resp_0").document()
    said = json.loads(document)
    assert (said["status"], said["id"], said["object"]) == (status, response().id, "response")
    assert (said["background"], said["store"]) == (True, True)
    assert said["previous_response_id"] == "resp_0"
    assert (b'"y":1.50' in document) == (b'"y":  1.50' in result)


@pytest.mark.parametrize(
    ("refusal", "code", "message"),
    [
        (None, "server_error", "why"),
        (Refusal(429, b'{"error":{"message":"slow down"}}'), "rate_limit_exceeded", "slow down"),
        (Refusal(400, b'{"error":"bad"}'), "invalid_prompt", "bad"),
        (Refusal(404, b'{"error":"no model"}'), "server_error", "no model"),
        (Refusal(None, event("error", error={"message": "broke"})), "server_error", "broke"),
        (Refusal(500, b"<html>"), "server_error", "<html>"),
        (
            Refusal(
                200,
                b'{"object":"response","error":{"code":"vector_store_timeout","message":"late"}}',
            ),
            "vector_store_timeout",
            "late",
        ),
        (Refusal(200, b'{"object":"response","error":null}'), "server_error", "why"),
    ],
)
def test_why_it_failed(refusal, code, message):
    said = json.loads(response(Status.FAILED, error="why", refusal=refusal).document())
    assert said["error"] == {"code": code, "message": message}


def test_it_says_again_what_was_asked():
    request = b'{"model":"m","input":"x","tools":[{"a":1}],"text":{"verbosity":"low"},"top_p":null}'
    said = json.loads(response(Status.PENDING, request).document())
    assert said["status"] == "queued"
    assert said["tools"] == [{"a": 1}]
    assert said["text"] == {"format": {"type": "text"}, "verbosity": "low"}
    assert said["top_p"] is None
    assert "input" not in said


# -- its events


def test_events_are_numbered_without_gaps():
    events = KeptEvents(response(Status.RUNNING))
    assert [one["sequence_number"] for one in read(events.opening())] == [0, 1]
    events.begin(5, first=True)
    frames = [
        event("response.created", 0), event("response.in_progress", 7, response={"id": "x"}),
        b": a comment\n\n", event("keepalive"), b"data: [DONE]\n\n", b"data: [1]\n\n",
        b'data: {"type":3}\n\n', b'{"object":"response"}', b"\xff\n\n",
        event("response.output_text.delta", 9, delta="a"), event("response.completed", 10),
    ]  # fmt: skip
    said = [one for frame in frames for one in read(events.frame(frame))]
    assert [(one["sequence_number"], one["type"]) for one in said] == [
        (2, "response.in_progress"), (3, "response.output_text.delta")
    ]  # fmt: skip
    assert said[0]["response"]["id"] == response().id
    assert read(events.end(response(), generated=True))[0]["sequence_number"] == 4
    assert events.told == 4


def test_only_those_behind_a_number_are_said():
    events = KeptEvents(response(Status.RUNNING), 2)
    assert events.opening() == b""
    events.begin(5, first=True)
    delta = event("response.output_text.delta", delta="a")
    assert events.frame(delta) == b""
    assert read(events.frame(delta))[0]["sequence_number"] == 3
    assert read(events.broken("why"))[0]["sequence_number"] == 3


def test_a_later_attempt_has_larger_numbers_and_begins_again():
    start = START + timedelta(seconds=1)
    events = KeptEvents(response(Status.RUNNING), 4)
    events.begin(attempt_id(start), first=False)
    [created] = read(events.frame(event("response.created", response={"id": "x"})))
    assert (created["sequence_number"], created["response"]["id"]) == (1_000_000, response().id)


@pytest.mark.parametrize(
    ("request_", "attempts", "number"),
    [
        (ASKED, (Attempt(START),), 2),
        (b'{"stream":true}', (), 2),
        (b'{"stream":true}', (Attempt(START),), 2_000_000),
    ],
)
def test_the_end_of_what_said_nothing(request_, attempts, number):
    ended = response(Status.CANCELLED, request_, attempts=attempts)
    [end] = read(KeptEvents(ended).end(ended, generated=False))
    assert (end["type"], end["sequence_number"]) == ("response.failed", number)
    assert end["response"]["status"] == "cancelled"


def test_a_frame_whose_numbers_nobody_can_hold_passes_all_the_same():
    events = KeptEvents(response(Status.RUNNING))
    frame = b'data: {"type":"x","delta":"\\ud83e","n":1e999,"response":[1]}\n\n'
    assert b'"type":"x"' in events.frame(frame)

"""Lines of a trace: what is written of a task, and what is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from oq.plan.trace import MAX_LINE, NoTrace, Ran, ran, read_trace
from oq.words.task import Attempt, Status, Summary, TaskType, Usage

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def summary(**more) -> Summary:
    shown = {
        "id": "0", "type": TaskType.CHAT, "priority": 10, "status": Status.COMPLETED, "model": "m",
        "created_at": NOON, "retry_count": 0, "max_retries": 3, "excerpt": "a secret",
    }  # fmt: skip
    return Summary(**shown | more)


def test_a_line_has_the_last_attempt_and_no_text():
    attempts = (
        Attempt(started_at=after(1), ended_at=after(2), error="it broke", backend="old"),
        Attempt(
            started_at=after(3), first_token_at=after(5), ended_at=after(9), backend="box",
            waited_inside=0.5, load=1.0,
        ),
    )  # fmt: skip
    line = ran(
        summary(
            attempts=attempts,
            usage=Usage(7, 8),
            metadata={"tenant": "ann", "note": "also secret"},
            error="secret too",
        )
    )
    assert line == Ran(
        created_at=NOON, model="m", type="chat", priority=10, tenant="ann", status="completed",
        prompt_tokens=7, completion_tokens=8, backend="box", started_at=after(3),
        first_token_at=after(5), completed_at=after(9), waited_inside=0.5, load=1.0,
    )  # fmt: skip
    assert b"secret" not in msgspec.json.encode(line)


def test_a_tenant_that_is_no_text_is_none():
    once = (Attempt(started_at=NOON),)
    assert ran(summary(attempts=once, metadata={"tenant": 7})).tenant is None
    assert ran(summary(attempts=once)).tenant is None


def test_what_is_not_known_is_absent():
    line = ran(summary(status=Status.FAILED, attempts=(Attempt(started_at=NOON),)))
    assert set(json.loads(msgspec.json.encode(line))) == {
        "created_at", "model", "type", "priority", "status", "started_at",
    }  # fmt: skip
    assert list(read_trace([msgspec.json.encode(line)], "it")) == [line]


def test_what_has_not_run_or_runs_still_has_no_line():
    once = (Attempt(started_at=NOON),)
    assert ran(summary(status=Status.CANCELLED)) is None
    assert ran(summary(status=Status.RUNNING, attempts=once)) is None
    assert ran(summary(status=Status.PENDING, attempts=once)) is None


def test_what_is_written_can_be_read():
    line = ran(summary(attempts=(Attempt(started_at=NOON),)))
    assert list(read_trace([msgspec.json.encode(line), b"\n"], "it")) == [line]


GOOD = {
    "created_at": "2026-01-31T12:00:00Z", "model": "m", "type": "chat", "priority": 5,
    "status": "completed", "prompt_tokens": 1, "completion_tokens": 2,
}  # fmt: skip


def but(**changed: object) -> bytes:
    return json.dumps(GOOD | changed).encode()


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        (b"{", "truncated"),
        (b"[]", "Expected `object`"),
        (b'{"created_at": "2026-01-31T12:00:00Z"}', "missing required field `model`"),
        (but(created_at="2026-01-31T12:00:00"), "has no zone"),
        (but(started_at="2026-01-31T12:00:00"), "started_at, .* has no zone"),
        (but(first_token_at="2026-01-31T12:00:00"), "first_token_at, .* has no zone"),
        (but(completed_at="2026-01-31T12:00:00"), "completed_at, .* has no zone"),
        (but(completion_tokens=10**400), "over 1,000,000,000,000"),
        (but(load=1e300), r"load, 1e\+300 seconds, is over ten years"),
        (but(waited_inside=1e300), "waited_inside, .* is over ten years"),
        (but(load=-0.5), "load, -0.5 seconds, is below 0"),
        (but(waited_inside=-1), "waited_inside, -1 seconds, is below 0"),
        (but(priority=101), "101"),
        (but(prompt_tokens=-1), "below 0"),
        (b" " * MAX_LINE + but(), f"over {MAX_LINE} bytes"),
    ],
)
def test_a_wrong_line_is_named(line, wrong):
    with pytest.raises(NoTrace, match=rf"^old.jsonl, line 2: .*{wrong}.*oq trace export"):
        list(read_trace([but(), line], "old.jsonl"))

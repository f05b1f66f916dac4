"""What the store remembers of live tasks, so that it need not read it back."""

from __future__ import annotations

import json

import pytest
from msgspec import Raw
from msgspec.structs import replace

from oq.rules import lifecycle
from oq.store.recent import Recent
from oq.words.outcome import Failed, Interrupted
from oq.words.steps import Removal
from oq.words.task import Body
from tests.support.builders import at, finish, new, start, task_id


def test_a_live_task_is_remembered_as_it_stands():
    recent = Recent()
    submitted = new()
    begun = start(submitted.state, at(1))
    recent.note([submitted])
    recent.note([begun])
    assert recent.state(task_id(1)) == begun.state
    assert recent.body(task_id(1)) == submitted.body


@pytest.mark.parametrize("ends", ["completed", "cancelled", "removed"])
def test_one_that_has_ended_is_not(ends):
    recent = Recent()
    submitted = new()
    begun = start(submitted.state)
    recent.note([submitted])
    recent.note([begun])
    last = {
        "completed": finish(begun.state),
        "cancelled": lifecycle.cancelled(begun.state, at(1)),
        "removed": Removal(begun.state),
    }[ends]
    recent.note([last])
    assert recent.state(task_id(1)) is None
    assert recent.body(task_id(1)) is None


@pytest.mark.parametrize("limit", [{"most": 2}, {"most_bytes": 250}])
def test_while_it_is_full_no_more_are_taken_in(limit):
    recent = Recent(**limit)
    changes = [new(number, prompt="x" * 80) for number in (1, 2, 3)]
    for change in changes:
        recent.note([change])
    assert [recent.state(task_id(number)) is None for number in (1, 2, 3)] == [False, False, True]
    assert [recent.body(task_id(number)) is None for number in (1, 2, 3)] == [False, False, True]
    recent.note([lifecycle.cancelled(changes[0].state, at(1))])
    recent.note([new(4, prompt="x" * 80)])
    assert recent.state(task_id(4)) == new(4, prompt="x" * 80).state


def test_metadata_counts():
    recent = Recent(most_bytes=200)
    recent.note([new(1, metadata=Raw(json.dumps({"note": "x" * 200}).encode()))])
    assert recent.state(task_id(1)) is None


def test_what_ends_or_goes_makes_room():
    recent = Recent(most_bytes=200)
    for number in range(1, 10):
        submitted = new(number, prompt="x" * 150)
        recent.note([submitted])
        assert recent.body(task_id(number)) is not None
        begun = start(submitted.state)
        recent.note([begun])
        last = lifecycle.cancelled if number % 2 else lifecycle.died
        recent.note([last(begun.state, at(1))])


@pytest.mark.parametrize(
    "long",
    [
        {"payload": b"x" * 100},
        {"options": b"x" * 100},
        {"headers": ((b"x", b"x" * 99),)},
        {"headers": ((b"x" * 99, b"x"),)},
        {"target": "/" + "x" * 99},
        {"way": "x" * 100},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_all_that_a_caller_may_make_long_counts(long):
    recent = Recent(most_bytes=150)
    bodies = [Body(**{"payload": b"", "options": b"", "call": "/api/chat"} | long)] * 2
    calls = [replace(new(number), body=body) for number, body in enumerate(bodies, 1)]
    recent.note(calls)
    assert [recent.state(task_id(number)) is None for number in (1, 2)] == [False, True]
    recent.note([Removal(calls[0].state)])
    recent.note(calls[1:])
    assert recent.state(task_id(2)) is not None, "what has gone leaves its room"


@pytest.mark.parametrize("outcome", [Failed("busy", retryable=True), Interrupted("drained")])
def test_a_task_that_is_tried_again_is_left_on_the_disk(outcome):
    recent = Recent()
    submitted = new()
    begun = start(submitted.state)
    for change in (submitted, begun, again := finish(begun.state, outcome), start(again.state)):
        recent.note([change])
    assert recent.state(task_id(1)) is None
    assert recent.body(task_id(1)) is None


def test_a_task_that_waits_for_its_time_is_left_on_the_disk():
    recent = Recent()
    recent.note([new(1, run_at=at(3600))])
    assert recent.state(task_id(1)) is None


def test_the_step_of_a_task_that_was_not_remembered_is_not():
    recent = Recent()
    recent.note([start(new().state)])
    assert recent.state(task_id(1)) is None

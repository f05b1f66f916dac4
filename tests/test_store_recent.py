"""What the store remembers of live tasks, so that it need not read it back."""

from __future__ import annotations

import pytest

from oq.rules import lifecycle
from oq.store.recent import Recent
from oq.words.messages import Removal

from .builders import at, finish, new, start, task_id


def test_a_live_task_is_remembered_as_it_stands():
    recent = Recent()
    submitted = new()
    begun = start(submitted.state, at(1))
    recent.note(submitted)
    recent.note(begun)
    assert recent.state(task_id(1)) == begun.state
    assert recent.body(task_id(1)) == submitted.body


@pytest.mark.parametrize("ends", ["completed", "cancelled", "removed"])
def test_one_that_has_ended_is_not(ends):
    recent = Recent()
    submitted = new()
    begun = start(submitted.state)
    recent.note(submitted)
    recent.note(begun)
    last = {
        "completed": finish(begun.state),
        "cancelled": lifecycle.cancelled(begun.state, at(1)),
        "removed": Removal(begun.state),
    }[ends]
    recent.note(last)
    assert recent.state(task_id(1)) is None
    assert recent.body(task_id(1)) is None


@pytest.mark.parametrize("limit", [{"most": 2}, {"most_bytes": 200}])
def test_those_that_were_written_first_are_dropped_first(limit):
    recent = Recent(**limit)
    for number in (1, 2, 3):
        recent.note(new(number, prompt="x" * 80))
    assert [recent.state(task_id(number)) is None for number in (1, 2, 3)] == [True, False, False]
    assert [recent.body(task_id(number)) is None for number in (1, 2, 3)] == [True, False, False]


def test_a_body_that_is_too_long_for_all_is_left_on_the_disk():
    recent = Recent(most_bytes=200)
    recent.note(new(1, prompt="x" * 200))
    assert recent.body(task_id(1)) is None
    recent.note(new(2))
    assert recent.body(task_id(2)) is not None


def test_an_ended_task_makes_room():
    recent = Recent(most_bytes=200)
    for number in range(1, 10):
        submitted = new(number, prompt="x" * 150)
        recent.note(submitted)
        assert recent.body(task_id(number)) is not None
        recent.note(lifecycle.cancelled(submitted.state, at(1)))


def test_the_step_of_a_task_that_was_not_remembered_is_not():
    recent = Recent()
    recent.note(start(new().state))
    assert recent.state(task_id(1)) is None

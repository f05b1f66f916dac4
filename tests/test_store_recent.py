"""What the store remembers of live tasks, so that it need not read it back."""

from __future__ import annotations

import pytest

from oq.rules import lifecycle
from oq.store.recent import LONGEST_BODY, Recent
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


def test_those_that_were_written_first_are_dropped_first():
    recent = Recent(most=2)
    for number in (1, 2, 3):
        recent.note(new(number))
    assert [recent.state(task_id(number)) is None for number in (1, 2, 3)] == [True, False, False]
    assert [recent.body(task_id(number)) is None for number in (1, 2, 3)] == [True, False, False]


def test_a_long_body_is_left_on_the_disk():
    recent = Recent()
    recent.note(new(1, prompt="x" * LONGEST_BODY))
    assert recent.state(task_id(1)) is not None
    assert recent.body(task_id(1)) is None

"""Retention: which ended tasks are to go, and which time it relies on."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oq.rules.ids import IdSource
from oq.rules.retention import Ended, PatientClock, Retention, Sweep, surplus
from tests.support.builders import NOW, at

COUNTS = st.integers(0, 10**9)
DAY = 86400
KEEP_ALL = Retention(tasks=0, seconds=0, unread=0, removed=0, removed_seconds=0)


def ended(when: datetime, *, submitted: datetime | None = None, unread: bool = False) -> Ended:
    return Ended(IdSource().next(submitted or when - timedelta(hours=1)), when, unread, b"")


def keeping(**bounds: float) -> Retention:
    return Retention(**{"tasks": 0, "seconds": 0, "unread": 0, "removed": 0,
                        "removed_seconds": 0, **bounds})  # fmt: skip


def going(
    tasks: list[Ended], keep: Retention, now: datetime | None = NOW, *, thorough: bool = False
) -> list[int]:
    """The numbers of the tasks that go."""
    unread = sum(task.unread for task in tasks)
    sweep = Sweep(keep, len(tasks), unread, now, thorough=thorough)
    return [number for number, task in enumerate(tasks) if sweep.takes(task)]


@given(COUNTS, st.integers(1, 10**9))
def test_what_is_left_is_what_is_kept_and_no_more_goes_than_must(ended, keep):
    assert ended - surplus(ended, keep) == min(ended, keep)


@given(COUNTS)
def test_nought_keeps_them_all(ended):
    assert surplus(ended, 0) == 0


def test_a_task_goes_when_it_is_too_old():
    tasks = [ended(at(-8 * DAY)), ended(at(-6 * DAY))]
    assert going(tasks, keeping(seconds=7 * DAY)) == [0]
    assert going(tasks, KEEP_ALL) == []
    assert going(tasks, keeping(seconds=7 * DAY), now=None) == [], "the clock may be wrong"


def test_unread_results_do_not_count_among_those_that_are_too_many():
    tasks = [ended(at(n), unread=n % 2 == 0) for n in range(10)]
    assert going(tasks, keeping(tasks=3)) == [1, 3]
    assert going(tasks, keeping(tasks=3, unread=4)) == [0, 1, 3]
    assert going(tasks, keeping(seconds=7 * DAY), now=at(30 * DAY)) == [*range(10)], "time is over"


def test_what_is_too_old_is_not_also_counted_as_too_many():
    tasks = [ended(at(-9 * DAY)), ended(at(-8 * DAY)), ended(at(-1)), ended(at(0))]
    assert going(tasks, keeping(tasks=2, seconds=7 * DAY)) == [0, 1]


def test_a_task_that_ended_while_the_clock_was_behind_is_as_young_as_its_id():
    past = at(-50 * 365 * DAY)
    tasks = [ended(past, submitted=at(-DAY)), ended(at(-DAY)), ended(at(0))]
    keep = keeping(tasks=2, seconds=7 * DAY)
    assert going(tasks, keep) == [1], "by number the next one goes instead"
    assert going(tasks, keeping(seconds=7 * DAY)) == []
    assert going(tasks[:1] * 3, keep) == []
    assert going(tasks[:1] * 3, keep, thorough=True) == [0], "there is no other"


def test_an_id_from_a_future_that_never_came_keeps_no_task_for_ever():
    tasks = [ended(at(-8 * DAY), submitted=at(300 * DAY))]
    assert going(tasks, keeping(seconds=7 * DAY)) == [0]


def test_nothing_behind_a_task_that_stays_is_looked_at_in_vain():
    sweep = Sweep(keeping(seconds=7 * DAY), 2, 0, NOW, thorough=False)
    assert not sweep.is_over(ended(at(-8 * DAY)))
    assert sweep.is_over(ended(at(-DAY)))


def test_a_clock_is_believed_when_it_says_the_same_at_the_next_look():
    clock = PatientClock()
    assert clock.look(NOW, 100.0) is None
    assert clock.look(at(10), 110.0) == at(10)
    assert clock.look(at(365 * DAY), 120.0) == at(20), "a jump"
    assert clock.look(at(365 * DAY + 10), 130.0) == at(365 * DAY + 10), "it has lasted"
    assert clock.look(at(40), 140.0) == at(40), "back again: that removes nothing"


@pytest.mark.parametrize("hours", [1, 24, 24 * 400])
def test_a_jump_that_is_taken_back_is_never_believed(hours):
    clock = PatientClock()
    clock.look(NOW, 0.0)
    assert clock.look(at(hours * 3600), 10.0) == at(10)
    assert clock.look(at(20), 20.0) == at(20)

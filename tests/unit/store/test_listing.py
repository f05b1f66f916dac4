"""Listings, over both engines: newest first, filtered, page by page, and the oldest ended first."""

from __future__ import annotations

import pytest

from oq.rules import lifecycle
from oq.rules.filters import TaskFilter
from oq.words.outcome import Failed
from oq.words.steps import Removal
from oq.words.task import Status, TaskType
from tests.support.builders import NOW, at, finish, new, start, task_id

NEVER = Failed("unknown model", retryable=False)


@pytest.fixture
def full(store):
    """Ten tasks: 1 and 6 pending, 2 and 7 running, 3 and 8 completed, 4 and 9 failed, 5 and 10
    cancelled; those over five are urgent and of another model.
    """
    for n in range(1, 11):
        urgent = {"priority": 15, "model": "llama3"} if n > 5 else {}
        task = new(n, **urgent)
        store.write([task], 0)
        running = start(task.state)
        if n % 5 in (2, 3, 4):
            store.write([running], 0)
        if n % 5 == 3:
            store.write([finish(running.state, now=at(20 - n))], 0)
        if n % 5 == 4:
            store.write([finish(running.state, NEVER, at(20 - n))], 0)
        if n % 5 == 0:
            store.write([lifecycle.cancelled(task.state, at(20 - n))], 0)
    return store


def shown(store, **conditions) -> list[int]:
    """The numbers of the tasks that a listing shows, in its order."""
    return [int(state.id[-12:], 16) for state in store.newest(TaskFilter(**conditions))]


def of(*statuses: Status) -> dict[str, frozenset[Status]]:
    return {"status": frozenset(statuses)}


def test_without_conditions_all_tasks_newest_first(full):
    assert shown(full) == [10, 9, 8, 7, 6, 5, 4, 3, 2, 1]


@pytest.mark.parametrize("status", Status)
def test_one_state_newest_first(full, status):
    first = list(Status).index(status) + 1
    assert shown(full, **of(status)) == [first + 5, first]


def test_several_states_are_merged_by_their_age(full):
    found = shown(full, **of(Status.RUNNING, Status.CANCELLED, Status.PENDING))
    assert found == [10, 7, 6, 5, 2, 1]


@pytest.mark.parametrize(
    ("conditions", "numbers"),
    [
        ({"priority": frozenset({15})}, [10, 9, 8, 7, 6]),
        ({"model": frozenset({"smollm2"})}, [5, 4, 3, 2, 1]),
        ({"type": frozenset({TaskType.GENERATE})}, [10, 9, 8, 7, 6, 5, 4, 3, 2, 1]),
        ({"type": frozenset({TaskType.CHAT})}, []),
        ({"model": frozenset({"llama3"}), **of(Status.FAILED)}, [9]),
    ],
)
def test_conditions_are_held_together(full, conditions, numbers):
    assert shown(full, **conditions) == numbers


@pytest.mark.parametrize(
    ("after", "conditions", "numbers"),
    [
        (4, {}, [3, 2, 1]),
        (1, {}, []),
        (7, of(Status.RUNNING), [2]),
        (8, of(Status.PENDING, Status.COMPLETED), [6, 3, 1]),
        (99, {}, [10, 9, 8, 7, 6, 5, 4, 3, 2, 1]),
    ],
)
def test_a_listing_goes_on_below_the_last_task_seen(full, after, conditions, numbers):
    assert shown(full, after=task_id(after), **conditions) == numbers


def test_a_listing_goes_on_even_when_the_last_task_seen_is_gone(full):
    full.write([Removal(full.state(task_id(4)))], 0)
    assert shown(full, after=task_id(4)) == [3, 2, 1]


@pytest.mark.parametrize("size", [1, 3, 10])
def test_page_by_page_nothing_is_missed_or_seen_twice(full, size):
    seen: list[int] = []
    while page := shown(full, **({"after": task_id(seen[-1])} if seen else {}))[:size]:
        seen += page
    assert seen == shown(full)


def test_tasks_that_have_moved_on_are_listed_where_they_are(full):
    full.write([start(full.state(task_id(1)))], 0)
    full.write([lifecycle.requeued(full.state(task_id(4)))], 0)
    assert shown(full, **of(Status.PENDING)) == [6, 4]
    assert shown(full, **of(Status.RUNNING)) == [7, 2, 1]


# -- the ended ones


def ended(store, limit: int = 99, after: bytes = b"") -> list[int]:
    return [int(task.task_id[-12:], 16) for task in store.oldest_ended(limit, after)]


def test_the_ended_are_found_in_the_order_of_their_ends(full):
    assert ended(full) == [10, 9, 8, 5, 4, 3], "they ended in the other order"
    assert ended(full, 2) == [10, 9]


def test_those_that_ended_at_once_are_in_the_order_of_submission(store):
    for n in (3, 1, 2):
        store.write([new(n)], 0)
        store.write([lifecycle.cancelled(store.state(task_id(n)), NOW)], 0)
    assert ended(store) == [1, 2, 3]


def test_each_ended_task_comes_with_the_place_to_go_on_from(full):
    seen, place = [], b""
    while found := list(full.oldest_ended(2, place)):
        seen += [int(task.task_id[-12:], 16) for task in found]
        place = found[-1].place + b"\0"
    assert seen == ended(full)


def test_removed_tasks_are_not_among_the_ended(full):
    full.write([Removal(full.state(task.task_id)) for task in full.oldest_ended(4)], 0)
    assert ended(full) == [4, 3]
    assert full.facts.ended == 2

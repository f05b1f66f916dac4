"""Looking through the tasks of a ledger: in order, from any place, and as far as is wanted."""

from __future__ import annotations

from sys import maxsize
from typing import Any

import pytest
from msgspec.structs import replace

from oq.rules import lifecycle
from oq.rules.filters import Sort, TaskFilter
from oq.store import Ledger, Parts, Slice, Want
from oq.words.steps import Removal
from oq.words.task import Status
from tests.support.builders import at, new, task_id

ALL = Want(Parts.STATE, tasks=maxsize, size=maxsize, rows=maxsize, searched=maxsize)


def numbers(found: list[Slice]) -> list[int]:
    return [int(one.state.id[-12:], 16) for slice_ in found for one in slice_.records]


async def look(
    ledger: Ledger, filter: TaskFilter, after: int | None = None, want: Want = ALL
) -> list[Slice]:
    """All slices, until there is no more or no room; each look may end early."""
    found: list[Slice] = []
    place = None if after is None else task_id(after)
    while not found or not (found[-1].over or found[-1].full):
        found.append(await ledger.durable.look(filter, place, want))
        if found[-1].last is None or found[-1].rows >= want.rows:
            break
        place = found[-1].last.id
        want = replace(want, tasks=want.tasks - len(found[-1].records))
    return found


async def five(ledger: Ledger) -> None:
    """Tasks 1 to 5, of which 2 and 4 are cancelled and 3 and 4 are urgent."""
    urgent: dict[str, Any] = {"priority": 15}
    await ledger.commit([new(n, **urgent if n in (3, 4) else {}) for n in range(1, 6)], 5)
    ends = [lifecycle.cancelled(await ledger.state(task_id(n)), at(n)) for n in (2, 4)]
    await ledger.commit(ends, 7)


@pytest.mark.parametrize(
    ("conditions", "after", "expected"),
    [
        ({}, None, [5, 4, 3, 2, 1]),
        ({}, 3, [2, 1]),
        ({"sort": Sort.OLDEST}, None, [1, 2, 3, 4, 5]),
        ({"sort": Sort.OLDEST}, 3, [4, 5]),
        ({"status": frozenset({Status.CANCELLED})}, None, [4, 2]),
        ({"status": frozenset({Status.CANCELLED, Status.PENDING})}, 4, [3, 2, 1]),
        ({"status": frozenset({Status.RUNNING})}, None, []),
        ({"priority": frozenset({15})}, None, [4, 3]),
        ({"priority": frozenset({15}), "status": frozenset({Status.PENDING})}, None, [3]),
        ({"text": "SKY"}, None, [5, 4, 3, 2, 1]),
        ({"text": "sea"}, None, []),
    ],
)
async def test_tasks_are_found_in_order_from_behind_a_place(shelf, conditions, after, expected):
    async with shelf.open() as ledger:
        await five(ledger)
        assert numbers(await look(ledger, TaskFilter(**conditions), after)) == expected


async def test_a_place_holds_when_its_task_is_gone(shelf):
    async with shelf.open() as ledger:
        await five(ledger)
        await ledger.commit([Removal(await ledger.state(task_id(4)))], 8)
        assert numbers(await look(ledger, TaskFilter(), 4)) == [3, 2, 1]


async def test_no_more_are_given_than_wanted_and_whether_there_are_more_is_told(shelf):
    async with shelf.open() as ledger:
        await five(ledger)
        two = Want(Parts.STATE, tasks=2, size=maxsize, rows=maxsize, searched=maxsize)
        found = await look(ledger, TaskFilter(), want=two)
        assert (numbers(found), found[-1].full, found[-1].over) == ([5, 4], True, False)
        assert found[-1].last.id == task_id(4)
        found = await look(ledger, TaskFilter(), 3, want=two)
        assert (numbers(found), found[-1].full, found[-1].over) == ([2, 1], False, True)


async def test_no_more_is_looked_at_than_wanted(shelf):
    async with shelf.open() as ledger:
        await five(ledger)
        few = Want(Parts.STATE, tasks=maxsize, size=maxsize, rows=2, searched=maxsize)
        found = await ledger.durable.look(TaskFilter(priority=frozenset({5})), None, few)
        assert found.rows <= 2
        assert numbers([found]) == [5][: found.rows]
        assert not found.over


async def test_documents_are_given_when_they_are_wanted_and_their_bytes_are_bounded(shelf):
    async with shelf.open() as ledger:
        await five(ledger)
        want = Want(Parts.BODY, tasks=9, size=1, rows=maxsize, searched=maxsize)
        found = await ledger.durable.look(TaskFilter(), None, want)
        (record,) = found.records
        assert record.body == new(5).body
        assert found.full or found.rows == 1, "or the look ended early"
        assert record.size == len(record.body.payload) + len(record.body.options)


async def test_a_search_tells_what_it_has_read(shelf):
    async with shelf.open() as ledger:
        await five(ledger)
        want = Want(Parts.STATE, tasks=9, size=maxsize, rows=maxsize, searched=1)
        found = await ledger.durable.look(TaskFilter(text="sea"), None, want)
        assert (found.records, found.rows, found.over) == ([], 1, False)
        assert found.searched == len(new(5).body.payload)


async def test_those_that_are_named_are_given_in_their_order_without_those_that_are_gone(shelf):
    async with shelf.open() as ledger:
        await five(ledger)
        named = [task_id(n) for n in (3, 9, 1, 5, 2)]
        pending = TaskFilter(status=frozenset({Status.PENDING}))
        found = await ledger.durable.look_at(named, pending, ALL)
        assert numbers([found]) == [3, 1, 5][: len(found.records)]
        assert found.over == (len(found.records) == 3 and found.rows == 4)


@pytest.mark.parametrize("sort", [Sort.NEWEST, Sort.OLDEST])
async def test_ids_of_states_are_told_in_order(shelf, sort):
    async with shelf.open() as ledger:
        await five(ledger)
        filter = TaskFilter(status=frozenset({Status.PENDING}), sort=sort)
        expected = [1, 3, 5] if sort is Sort.OLDEST else [5, 3, 1]
        first = await ledger.durable.ids(filter, None, 2)
        rest = await ledger.durable.ids(filter, first[-1], 2)
        assert [*first, *rest] == [task_id(n) for n in expected]

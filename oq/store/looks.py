"""Looking through the tasks of a store, a slice at a time: others have their turn in between."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from time import perf_counter
from typing import TypeVar

from msgspec.structs import replace

from oq.dialects.documents import glance_at
from oq.rules.excerpt import excerpt
from oq.rules.filters import Sort, TaskFilter
from oq.store.ledger import Parts, Record, Slice, Want
from oq.store.store import Store
from oq.words.errors import StoreCorrupt
from oq.words.task import Status, TaskState

T = TypeVar("T")

SLICE_ROWS = 1000
SLICE_SECONDS = 0.001
"""How many tasks are looked at, and for how long, before others get their turn."""


def look(store: Store, filter: TaskFilter, after: str | None, want: Want) -> Slice:
    """See `oq.store.ledger.Durable.look`. Those in the filter's states have an index."""
    indexed = TaskFilter(status=filter.status, after=after)
    newest = filter.sort is Sort.NEWEST
    rows = store.newest(indexed) if newest else store.oldest(indexed)
    return _slice(store, rows, filter, want)


def look_at(store: Store, task_ids: Iterable[str], filter: TaskFilter, want: Want) -> Slice:
    """See `oq.store.ledger.Durable.look_at`."""
    states = map(store.state, task_ids)
    return _slice(store, (state for state in states if state is not None), filter, want)


def ids(store: Store, filter: TaskFilter, after: str | None, most: int) -> list[str]:
    """See `oq.store.ledger.Durable.ids`."""
    behind = replace(filter, after=after)
    return list(islice(store.ids(behind, reverse=filter.sort is Sort.NEWEST), most))


def record(store: Store, state: TaskState, parts: Parts = Parts.ALL) -> Record:
    """What is kept of this task; what of it cannot be read is missing, and a problem."""
    if parts == Parts.STATE:
        return Record(state)
    problems: list[str] = []
    body = _part(store.body, state, problems) if parts & Parts.BODY else None
    result = refusal = None
    if parts & Parts.ENDING and state.status is Status.COMPLETED:
        result = _part(store.result, state, problems)
    elif parts & Parts.ENDING and state.status is Status.FAILED:
        refusal = store.refusal(state.id)
    return Record(state, body, result, refusal, tuple(problems))


def _part(read: Callable[[str], T | None], state: TaskState, problems: list[str]) -> T | None:
    try:
        return read(state.id)
    except StoreCorrupt as error:
        problems.append(f"{error}; `oq salvage` saves what is left, when oq is stopped")
        return None


def _slice(store: Store, states: Iterator[TaskState], filter: TaskFilter, want: Want) -> Slice:
    until = perf_counter() + SLICE_SECONDS
    records: list[Record] = []
    last: TaskState | None = None
    rows = size = searched = 0
    for state in states:
        late = rows == SLICE_ROWS or (rows and perf_counter() > until)
        if late or rows >= want.rows or searched >= want.searched:
            return Slice(records, last, rows, searched)
        admitted = filter.admits(state)
        if admitted and filter.text:
            admitted, read = _finds(store, filter, state)
            searched += read
        if admitted:
            if len(records) >= want.tasks or size >= want.size:
                return Slice(records, last, rows, searched, full=True)
            found = record(store, state, want.parts)
            records.append(found)
            size += found.size
        last = state
        rows += 1
    return Slice(records, last, rows, searched, over=True)


def _finds(store: Store, filter: TaskFilter, state: TaskState) -> tuple[bool, int]:
    """Whether the task has the filter's text, and how many bytes of it were read to know that."""
    read = 0

    def begin() -> str:
        nonlocal read
        body = _part(store.body, state, [])
        if body is None:
            return ""
        read = len(body.payload)
        return excerpt(state.type, glance_at(body))

    return filter.finds(state, begin), read

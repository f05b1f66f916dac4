"""Looking through the tasks for those that a filter admits, a slice at a time.

A page may have to look at many tasks to show a few. It does so in slices, and lets everybody else
go on in between. Each slice begins behind the last task that was seen, so nothing is held in the
meantime: a task is shown as it stands when its turn comes, and one that is submitted then, or takes
another place in line, may be missed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from time import perf_counter
from typing import Protocol, TypeVar

import msgspec
import trio
from msgspec.structs import replace

from oq.rules.board import Board
from oq.rules.call_body import as_shown
from oq.rules.excerpt import excerpt
from oq.rules.filters import Count, LinePlace, Page, Sort, TaskFilter
from oq.rules.ids import is_id
from oq.store import Store
from oq.words.errors import InvalidTask, StoreCorrupt
from oq.words.task import RawTask, Status, TaskState, TaskSummary, show, summarise

T = TypeVar("T")
View = Callable[[TaskState], tuple[T, int]]
"""What a page shows of a task, and how many bytes were read for it."""

PAGE_BYTES = 32 * 1024 * 1024
"""A page of a listing ends once so many bytes were read for it: one payload may be of 16 MB."""

PAGE_ROWS = 50_000
"""Tasks that are looked at for one page, however few of them it shows."""

SEARCH_BYTES = 256 * 1024 * 1024
"""Bytes of payloads that are read for one page to find a text in them."""

SLICE_ROWS = 1000
SLICE_SECONDS = 0.001
"""How many tasks are looked at, and for how long, before others get their turn."""


class Read(Protocol):
    """How the store is looked at: see `oq.actors.writer.Writer.read`."""

    async def __call__(self, task_id: None, look: Callable[[], bool], /) -> bool: ...


class Listing:
    """Pages, counts and ids of the tasks in a store."""

    def __init__(self, store: Store, board: Board, read: Read, now: Callable[[], datetime]) -> None:
        self._now = now
        self._store = store
        self._board = board
        self._read = read

    async def page(self, filter: TaskFilter) -> Page[RawTask]:
        """The tasks that the filter admits, as many as fit into a page."""
        return await self._page(filter, self._whole)

    async def summaries(self, filter: TaskFilter) -> Page[TaskSummary]:
        """The same, as a line each."""
        return await self._page(filter, self._summary)

    async def count(self, filter: TaskFilter) -> Count:
        """How many tasks the filter admits, whatever its limit; at least so many, if it has to look
        at more than PAGE_ROWS of them.
        """
        if filter.by_status_only:
            return Count(sum(map(self._store.count_on_disk, filter.status or Status)), exact=True)
        found = 0

        def take(state: TaskState) -> bool:
            nonlocal found
            found += 1
            return True

        after = await self._walk(filter, take, PAGE_ROWS)
        return Count(found, exact=after is None)

    async def ids(self, filter: TaskFilter, most: int) -> tuple[list[str], bool]:
        """The ids of the first `most` tasks that the filter admits, whatever its limit, and whether
        there are more.
        """
        if filter.by_status_only and filter.sort is not Sort.QUEUE:
            return await self._indexed_ids(filter, most)
        found: list[str] = []

        def take(state: TaskState) -> bool:
            if len(found) == most:
                return False
            found.append(state.id)
            return True

        after = await self._walk(filter, take, None)
        return found, after is not None

    async def _indexed_ids(self, filter: TaskFilter, most: int) -> tuple[list[str], bool]:
        """The same where the index says which tasks they are."""
        found: list[str] = []
        reverse = filter.sort is Sort.NEWEST

        def take() -> bool:
            behind = replace(filter, after=found[-1]) if found else filter
            some = list(islice(self._store.ids(behind, reverse=reverse), SLICE_ROWS))
            found.extend(some)
            return len(some) < SLICE_ROWS or len(found) > most

        while not await self._read(None, take):
            await trio.lowlevel.checkpoint()
        return found[:most], len(found) > most

    def shown(self, state: TaskState) -> RawTask:
        """The task, whole; marked as damaged, without what of it cannot be read."""
        problems: list[str] = []
        body = self._part(self._store.body, state, problems)
        result = None
        if state.status is Status.COMPLETED:
            result = self._part(self._store.result, state, problems)
        if problems:
            state = replace(state, damaged=True, error=state.error or problems[0])
        return show(state, body and as_shown(body), result, self._position(state))

    def _part(
        self, read: Callable[[str], T | None], state: TaskState, problems: list[str]
    ) -> T | None:
        try:
            return read(state.id)
        except StoreCorrupt as error:
            problems.append(f"{error}; `oq salvage` saves what is left, when oq is stopped")
            return None

    async def _page(self, filter: TaskFilter, view: View[T]) -> Page[T]:
        """A page, and where to go on: also when it ended early, perhaps with no task at all."""
        tasks: list[T] = []
        skip, size = filter.offset, 0

        def take(state: TaskState) -> bool:
            nonlocal skip, size
            if skip:
                skip -= 1
                return True
            if len(tasks) == filter.limit or size >= PAGE_BYTES:
                return False
            task, cost = view(state)
            tasks.append(task)
            size += cost
            return True

        after = await self._walk(filter, take, PAGE_ROWS)
        if skip and after is not None:
            raise _offset_too_far(filter.offset)
        return Page(tasks, after)

    def _whole(self, state: TaskState) -> tuple[RawTask, int]:
        task = self.shown(state)
        return task, len(msgspec.json.encode(task))

    def _summary(self, state: TaskState) -> tuple[TaskSummary, int]:
        problems: list[str] = []
        body = self._part(self._store.body, state, problems)
        if problems:
            state = replace(state, damaged=True, error=state.error or problems[0])
        text = excerpt(state.type, body.payload) if body is not None else ""
        summary = summarise(state, text, self._position(state))
        return summary, len(body.payload) if body is not None else 0

    def _position(self, state: TaskState) -> int | None:
        return self._board.position(state.id) if state.status is Status.PENDING else None

    def _excerpt(self, state: TaskState, walk: _Walk) -> str:
        body = self._part(self._store.body, state, [])
        if body is None:
            return ""
        walk.searched += len(body.payload)
        return excerpt(state.type, body.payload)

    async def _walk(
        self, filter: TaskFilter, take: Callable[[TaskState], bool], rows: int | None
    ) -> str | None:
        """Give `take` each task that the filter admits, until it wants no more, or `rows` were
        looked at, or SEARCH_BYTES read; then the last one that was dealt with, and None when there
        was no more to see.
        """
        walk = _Walk(filter.after, rows)
        if filter.sort is Sort.QUEUE and filter.after is not None:
            walk.place = self._place(filter.after)
        while True:
            ended = await self._read(None, lambda: self._slice(filter, walk, take))
            if ended:
                return None if walk.exhausted else walk.cursor(filter.sort)
            await trio.lowlevel.checkpoint()

    def _slice(self, filter: TaskFilter, walk: _Walk, take: Callable[[TaskState], bool]) -> bool:
        """Look at some tasks; whether that was all."""
        until = perf_counter() + SLICE_SECONDS
        for row, state in enumerate(self._rows(filter, walk)):
            if walk.is_over:
                return True
            if row == SLICE_ROWS or (row and perf_counter() > until):
                return False
            if self._admits(filter, state, walk) and not take(state):
                return True
            walk.pass_by(state)
        walk.exhausted = True
        return True

    def _rows(self, filter: TaskFilter, walk: _Walk) -> Iterator[TaskState]:
        """The tasks that are still to be seen. Those in the filter's states have an index."""
        if filter.sort is Sort.QUEUE:
            return self._in_line(walk)
        indexed = TaskFilter(status=filter.status, after=walk.after)
        match filter.sort:
            case Sort.NEWEST:
                return self._store.newest(indexed)
            case Sort.OLDEST:
                return self._store.oldest(indexed)

    def _in_line(self, walk: _Walk) -> Iterator[TaskState]:
        place = walk.place
        if place is not None and place.run_at is not None and place.run_at <= self._now():
            place = replace(place, run_at=None)  # its time has come: it was among the ready ones
        for task_id in self._board.in_line(place):
            state = self._store.state(task_id)
            if state is not None:
                yield state

    def _place(self, after: str) -> LinePlace:
        """The place that is meant; of a bare id that where the task is now."""
        if not is_id(after):
            return LinePlace.parse(after)
        last = self._store.state(after)
        if last is None:
            raise InvalidTask("after", f"task {after} is gone; take the place from the Link header")
        return LinePlace.of(last)

    def _admits(self, filter: TaskFilter, state: TaskState, walk: _Walk) -> bool:
        if not filter.admits(state):
            return False
        return not filter.text or filter.finds(state, lambda: self._excerpt(state, walk))


@dataclass(slots=True)
class _Walk:
    """How far a look through the tasks has come: the last one seen, the place in line that it then
    had, and how many more there may be. `searched` are the bytes of payloads that were read to find
    a text.
    """

    after: str | None
    left: int | None
    place: LinePlace | None = None
    exhausted: bool = False
    searched: int = 0

    @property
    def is_over(self) -> bool:
        """Whether it has looked at as much as it may. Bulk wishes look at all that there is."""
        return self.left is not None and (self.left == 0 or self.searched >= SEARCH_BYTES)

    def cursor(self, sort: Sort) -> str:
        """Where another look goes on."""
        if sort is Sort.QUEUE:
            return "" if self.place is None else str(self.place)
        return self.after or ""

    def pass_by(self, state: TaskState) -> None:
        self.after, self.place = state.id, LinePlace.of(state)
        if self.left is not None:
            self.left -= 1


def _offset_too_far(offset: int) -> InvalidTask:
    """The cursor cannot say how many are still to be skipped."""
    return InvalidTask(
        "offset", f"{offset} leads past the {PAGE_ROWS} tasks that one request looks at;"
        " go on by `after` (the Link header of a listing has it)",
    )  # fmt: skip

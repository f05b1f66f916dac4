"""Looking through the tasks for those that a filter admits, a slice at a time.

A page may have to look at many tasks to show a few. It does so in slices, and lets everybody else
go on in between. Each slice begins behind the last task that was seen, so nothing is held in the
meantime: a task is shown as it stands when its turn comes, and one that is submitted then, or takes
another place in line, may be missed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import islice
from sys import maxsize
from typing import TypeVar

import trio
from msgspec.structs import replace

from oq.backends.reading_thread import use_document
from oq.dialects import as_shown
from oq.dialects.documents import glance_at
from oq.queue.outlook import Outlook
from oq.rules.board import Board
from oq.rules.excerpt import excerpt
from oq.rules.filters import Count, LinePlace, Page, Sort, TaskFilter
from oq.rules.ids import is_id
from oq.store import Durable, Parts, Record, Slice, Want
from oq.words.errors import InvalidTask, NotFound
from oq.words.task import Body, Eta, RawTask, Status, TaskState, TaskSummary, show, summarise

T = TypeVar("T")
PAGE_BYTES = 32 * 1024 * 1024
"""A page of a listing ends once so many bytes were read for it: one payload may be of 16 MB."""

PAGE_ROWS = 50_000
"""Tasks that are looked at for one page, however few of them it shows."""

SEARCH_BYTES = 256 * 1024 * 1024
"""Bytes of payloads that are read for one page to find a text in them."""

IDS_AT_ONCE = 1000
"""Ids that are read of the index, or taken from the line, before others get their turn."""


class Listing:
    """Pages, counts and ids of a ledger's tasks. `check_open` raises when the queue is over."""

    def __init__(
        self,
        ledger: Durable,
        board: Board,
        outlook: Outlook,
        check_open: Callable[[], None],
        now: Callable[[], datetime],
    ) -> None:
        self._now = now
        self._ledger = ledger
        self._board = board
        self._outlook = outlook
        self._check_open = check_open

    async def page(self, filter: TaskFilter) -> Page[RawTask]:
        """The tasks that the filter admits, as many as fit into a page."""
        return await self._page(filter, Parts.ALL, self.shown)

    async def summaries(self, filter: TaskFilter) -> Page[TaskSummary]:
        """The same, as a line each."""
        return await self._page(filter, Parts.BODY, self._summary)

    async def count(self, filter: TaskFilter) -> Count:
        """How many tasks the filter admits, whatever its limit; at least so many, if it has to look
        at more than PAGE_ROWS of them.
        """
        if filter.by_status_only:
            return Count(self._ledger.facts.count(filter.status or Status), exact=True)
        walk = await self._walk(filter)
        found = 0
        while not walk.is_over:
            found += len(await self._step(walk, Parts.STATE))
        return Count(found, exact=walk.exhausted)

    async def ids(self, filter: TaskFilter, most: int) -> tuple[list[str], bool]:
        """The ids of the first `most` tasks that the filter admits, whatever its limit, and whether
        there are more. It looks at all tasks if need be.
        """
        if filter.by_status_only and filter.sort is not Sort.QUEUE:
            return await self._indexed_ids(filter, most)
        walk = await self._walk(filter, tasks=most, rows=maxsize, searched=maxsize)
        found: list[str] = []
        while not walk.is_over:
            found += [record.state.id for record in await self._step(walk, Parts.STATE)]
        return found, not walk.exhausted

    async def _indexed_ids(self, filter: TaskFilter, most: int) -> tuple[list[str], bool]:
        """The same where the index says which tasks they are."""
        found: list[str] = []
        after = filter.after
        while len(found) <= most:
            self._check_open()
            some = await self._ledger.ids(filter, after, IDS_AT_ONCE)
            found += some
            if len(some) < IDS_AT_ONCE:
                break
            after = some[-1]
            await trio.lowlevel.checkpoint()
        return found[:most], len(found) > most

    def shown(self, record: Record) -> RawTask:
        """The task, whole; marked as damaged, without what of it cannot be read. A compressed
        body that is not small is not read: this is one of many tasks.
        """
        body = record.body
        return self._shown(record, body and as_shown(body, glance_at(body)))

    async def shown_alone(self, record: Record) -> RawTask:
        """The same, with all that a compressed body says."""
        body = record.body
        if body is None or body.call is None:
            return self.shown(record)
        shown = await use_document(body.payload, body.headers, partial(as_shown, body))
        return self._shown(record, shown)

    def _shown(self, record: Record, body: Body | None) -> RawTask:
        state = _marked(record)
        place = self._position(state), self._waits_for(state), self._eta(state)
        return show(state, body, record.result, *place)

    def _summary(self, record: Record) -> TaskSummary:
        state, body = _marked(record), record.body
        text = excerpt(state.type, glance_at(body)) if body is not None else ""
        place = self._position(state), self._waits_for(state), self._eta(state)
        return summarise(state, text, *place)

    def _position(self, state: TaskState) -> int | None:
        return self._board.position(state.id) if state.status is Status.PENDING else None

    def _waits_for(self, state: TaskState) -> str | None:
        if state.status is not Status.PENDING:
            return None
        return self._board.waits_for(state.id, trio.current_time())

    def _eta(self, state: TaskState) -> Eta | None:
        return self._outlook.eta(state.id) if state.status is Status.PENDING else None

    async def _page(self, filter: TaskFilter, parts: Parts, view: Callable[[Record], T]) -> Page[T]:
        """A page, and where to go on: also when it ended early, perhaps with no task at all."""
        walk = await self._walk(filter, tasks=filter.offset, size=maxsize)
        while filter.offset and not walk.is_over:
            await self._step(walk, Parts.STATE)
        if walk.tasks and not walk.exhausted:
            raise _offset_too_far(filter.offset)
        walk.tasks, walk.size, walk.full = filter.limit, PAGE_BYTES, False
        tasks: list[T] = []
        while not walk.is_over:
            tasks += [view(record) for record in await self._step(walk, parts)]
        return Page(tasks, None if walk.exhausted else walk.cursor(filter.sort))

    async def _walk(
        self,
        filter: TaskFilter,
        *,
        tasks: int = maxsize,
        size: int = maxsize,
        rows: int | None = None,
        searched: int | None = None,
    ) -> _Walk:
        """A look through the tasks from the filter's place on, that has not begun. Without bounds
        of its own it may look at as much as one page may.
        """
        place = None
        if filter.sort is Sort.QUEUE and filter.after is not None:
            place = await self._place(filter.after)
        rows = PAGE_ROWS if rows is None else rows
        searched = SEARCH_BYTES if searched is None else searched
        return _Walk(filter, filter.after, place, tasks, size, rows, searched)

    async def _step(self, walk: _Walk, parts: Parts) -> list[Record]:
        """The tasks of the next slice. Others had their turn before."""
        if walk.begun:
            await trio.lowlevel.checkpoint()
        self._check_open()
        want = Want(parts, walk.tasks, walk.size, walk.rows, walk.searched)
        if walk.filter.sort is not Sort.QUEUE:
            found = await self._ledger.look(walk.filter, walk.after, want)
        else:
            line = list(islice(self._board.in_line(self._from(walk.place)), IDS_AT_ONCE))
            found = await self._ledger.look_at(line, walk.filter, want)
            if found.over and len(line) == IDS_AT_ONCE and found.last is not None:
                found = replace(found, over=False)
        walk.take(found)
        return found.records

    def _from(self, place: LinePlace | None) -> LinePlace | None:
        """Where in line to go on behind this place."""
        if place is not None and place.run_at is not None and place.run_at <= self._now():
            return replace(place, run_at=None)  # its time has come: it was among the ready ones
        return place

    async def _place(self, after: str) -> LinePlace:
        """The place that is meant; of a bare id that where the task is now."""
        if not is_id(after):
            return LinePlace.parse(after)
        try:
            return LinePlace.of(await self._ledger.state(after))
        except NotFound:
            raise InvalidTask(
                "after", f"task {after} is gone; continue with the address in the Link header"
            ) from None


@dataclass(slots=True)
class _Walk:
    """How far a look through the tasks has come: the last one seen, the place in line that it then
    had, and how much more it may give and look at (see `Want`). `full`: there is more than that.
    """

    filter: TaskFilter
    after: str | None
    place: LinePlace | None
    tasks: int
    size: int
    rows: int
    searched: int
    begun: bool = False
    full: bool = False
    exhausted: bool = False

    @property
    def is_over(self) -> bool:
        """Whether it has seen everything, or as much as it may."""
        return self.exhausted or self.full or self.rows <= 0 or self.searched <= 0

    def take(self, found: Slice) -> None:
        """Go on behind this slice."""
        self.begun, self.exhausted, self.full = True, found.over, found.full
        self.tasks -= len(found.records)
        self.size -= sum(record.size for record in found.records)
        self.rows -= found.rows
        self.searched -= found.searched
        if found.last is not None:
            self.after, self.place = found.last.id, LinePlace.of(found.last)

    def cursor(self, sort: Sort) -> str:
        """Where another look goes on."""
        if sort is Sort.QUEUE:
            return "" if self.place is None else str(self.place)
        return self.after or ""


def _marked(record: Record) -> TaskState:
    """The task's state; marked as damaged if something else of it is."""
    state, problems = record.state, record.problems
    return replace(state, damaged=True, error=state.error or problems[0]) if problems else state


def _offset_too_far(offset: int) -> InvalidTask:
    """The cursor cannot say how many are still to be skipped."""
    return InvalidTask(
        "offset", f"{offset} is beyond the {PAGE_ROWS} tasks that one request looks at;"
        " use `after` instead (the Link header of a listing has it)",
    )  # fmt: skip

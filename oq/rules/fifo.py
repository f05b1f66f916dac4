"""The policy ``fifo``: strictly by priority, and inside one in the order of submission."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from heapq import heapify, heappop, heappush

from oq.rules.bands import Alike, Band, Bands, Flow
from oq.rules.fleet import Fleet
from oq.rules.line import DEFAULT, Line, Search
from oq.rules.policy import Choice
from oq.rules.slots import BackendSlots
from oq.words.config import FairnessConfig, SchedulerConfig


class Fifo(Line):
    """See `oq.rules.policy.Policy`.

    A task that cannot start now keeps its backend: no task behind it starts there before. On the
    other backends, if there are any, those behind it may start. One whose backends are all down
    keeps none.
    """

    def __init__(
        self,
        fleet: Fleet,
        settings: SchedulerConfig,
        fairness: FairnessConfig = DEFAULT,
    ) -> None:
        super().__init__(fleet, settings, fairness, sorted_always=fleet.several)
        self._needs_bands = self._bands is not None

    def next(self, now: float) -> Choice | None:
        if not self._ready:
            return None
        if not self._needs_bands:
            backend = self._fleet.backends[0]
            # Mostly the task is not looked at.
            if backend.takes_any and self._bands is None and not self._fleet.paused:
                task_id, place = self._ready.pop()
                return Choice(task_id, place, backend.name)
            self._note_parted(backend)
            if self._bands is None:
                return self._first_on(backend, now)
        return super().next(now)

    def _first_on(self, backend: BackendSlots, now: float) -> Choice | None:
        """The first task, if it can start there now."""
        if not backend.open:
            return None
        task_id, place = self._ready.first()
        return self._chosen(task_id, backend) if backend.room(place, now).starts else None

    def _note_parted(self, backend: BackendSlots) -> None:
        """While the only backend gets tasks of some models and not of others, those behind may
        start. To find them costs a part of every task's time, so it is done then only.
        """
        if not (backend.outages.parted or self._fleet.paused):
            self._bands = None
        elif self._bands is None:
            self._bands = Bands(self._ready.places())

    def _of_equals(self, band: Band, flows: Sequence[Flow], search: Search) -> Choice | None:
        first = min(flow.first for flow in flows)
        backend, room = self._place(first, search)
        if backend is not None and room.starts:
            return self._chosen(first, backend)
        if backend is not None and search.left == [backend]:
            self._keep(backend, first, search)
            return None
        return self._behind_first(flows, search)

    def _behind_first(self, flows: Sequence[Flow], search: Search) -> Choice | None:
        """The next that may start, where the first may not."""
        line = _InOrder(flows)
        for task_id, kind in line:
            backend, room = self._place(task_id, search)
            if backend is None:
                line.drop(kind)  # none that is alike starts either
            elif room.starts:
                return self._chosen(task_id, backend)
            else:
                self._keep(backend, task_id, search)
                if not search.left:
                    return None
        return None


class _InOrder:
    """The tasks of some tenants in order, without those that are like one that was dropped."""

    def __init__(self, flows: Sequence[Flow]) -> None:
        self._dropped: set[Alike] = set()
        self._line: list[tuple[str, Flow, Alike, int, Iterator[tuple[str, Alike]] | None]] = []
        for flow in flows:
            self._note_head(flow, flow.heads())
        heapify(self._line)

    def __iter__(self) -> Iterator[tuple[str, Alike]]:
        """The ids, each with its kind."""
        line = self._line
        while line:
            task_id, flow, kind, number, heads = heappop(line)
            if heads is not None:
                self._note_head(flow, heads)
            if kind in self._dropped:
                continue
            yield task_id, kind
            ids = flow.groups[kind]
            if number + 1 < len(ids):
                heappush(line, (ids[number + 1], flow, kind, number + 1, None))

    def drop(self, kind: Alike) -> None:
        self._dropped.add(kind)

    def _note_head(self, flow: Flow, heads: Iterator[tuple[str, Alike]]) -> None:
        """The next of those that are the first of their kind."""
        head = next(heads, None)
        if head is not None:
            heappush(self._line, (head[0], flow, head[1], 0, heads))

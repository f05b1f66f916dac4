"""The policy ``fifo``: strictly by priority, and inside one in the order of submission."""

from __future__ import annotations

from heapq import heappop, heapreplace

from oq.rules.fleet import Fleet
from oq.rules.groups import Groups
from oq.rules.line import Line
from oq.rules.placing import place_on
from oq.rules.policy import Choice
from oq.rules.slots import BackendSlots
from oq.words.config import SchedulerConfig


class Fifo(Line):
    """See `oq.rules.policy.Policy`.

    A task that cannot start now keeps its backend: no task behind it starts there before. On the
    other backends, if there are any, those behind it may start. One whose backends are all down
    keeps none.
    """

    def __init__(self, fleet: Fleet, settings: SchedulerConfig) -> None:
        super().__init__(fleet, grouped=fleet.several)

    def next(self, now: float) -> Choice | None:
        if not self._ready:
            return None
        if not self._fleet.several:
            backend = self._fleet.backends[0]
            if backend.takes_any and self._groups is None:  # mostly: the task is not looked at
                task_id, place = self._ready.pop()
                return Choice(task_id, place, backend.name)
            if backend.open and self._starts_on(backend, now):
                return self._chosen(self._ready.first()[0], backend)
            self._note_parted(backend)
        if self._groups is None or not any(backend.open for backend in self._fleet):
            return None
        task_id, place = self._ready.first()
        best, room = place_on(self._fleet.able(place.model, now), place, now)
        if best is not None and room.starts:
            return self._chosen(task_id, best)
        return self._behind_first(self._groups, now)

    def _starts_on(self, backend: BackendSlots, now: float) -> bool:
        """Whether the first task can start there now."""
        _, place = self._ready.first()
        return backend.room(place, now).starts

    def _note_parted(self, backend: BackendSlots) -> None:
        """While the only backend fails at one model, those behind may start. To find them costs a
        part of every task's time, so it is done then only.
        """
        if not backend.outages.parted:
            self._groups = None
        elif self._groups is None:
            self._groups = Groups(self._ready.places())

    def _behind_first(self, groups: Groups, now: float) -> Choice | None:
        """The next that starts on a backend that none before it waits for. The first does not."""
        left = [backend for backend in self._fleet if backend.open]
        kept: list[BackendSlots] = []
        for priority in groups.priorities():
            # The next of each group; in order, as the groups come sorted.
            line = [(ids[0], 0, ids) for ids in groups.of(priority)]
            while line:
                task_id, number, ids = line[0]
                place = self._ready.place_of(task_id)
                assert place is not None
                backend, room = place_on(self._fleet.able(place.model, now), place, now, kept)
                if backend is not None and room.starts:
                    return self._chosen(task_id, backend)
                number += 1
                if backend is None or number == len(ids):  # none that is alike starts either
                    heappop(line)
                else:
                    heapreplace(line, (ids[number], number, ids))
                if backend is not None:
                    kept.append(backend)
                    if all(one in kept for one in left):
                        return None
        return None

"""The policy ``affinity``: as ``fifo``, but inside a priority tasks whose model is in memory go
first, so that a backend loads models less often. No task is passed over for longer than
`scheduler.max_bypass`: then nothing else starts on its backend until it has.
"""

from __future__ import annotations

from oq.rules.fleet import Fleet
from oq.rules.groups import Groups
from oq.rules.line import Line
from oq.rules.placing import place_on
from oq.rules.policy import Choice
from oq.rules.residency import Room
from oq.rules.slots import BackendSlots
from oq.words.config import SchedulerConfig


class Affinity(Line):
    """See `oq.rules.policy.Policy`. Its line is that of ``fifo``; what starts is not."""

    def __init__(self, fleet: Fleet, settings: SchedulerConfig) -> None:
        super().__init__(fleet, grouped=True)
        self._max_bypass = settings.max_bypass
        self._first: dict[int, tuple[str, float]] = {}  # of each band, and since when it is that

    def next(self, now: float) -> Choice | None:
        groups = self._groups
        assert groups is not None
        kept: list[BackendSlots] = []
        bands = {priority: self._firsts(groups, priority, now) for priority in groups.priorities()}
        self._first = {priority: self._first[priority] for priority in bands}
        if not any(backend.open for backend in self._fleet):
            return None
        for priority, firsts in bands.items():
            choice = self._of_band(priority, firsts, now, kept)
            if choice is not None or len(kept) == len(self._fleet):
                return choice
        return None

    def _firsts(self, groups: Groups, priority: int, now: float) -> list[str]:
        """The first task of each group of this priority, in order. It is noted since when the first
        of all is the first.
        """
        firsts: list[str] = [ids[0] for ids in groups.of(priority)]
        known = self._first.get(priority)
        if known is None or known[0] != firsts[0]:
            self._first[priority] = firsts[0], now
        return firsts

    def _of_band(
        self, priority: int, firsts: list[str], now: float, kept: list[BackendSlots]
    ) -> Choice | None:
        """The next of this priority. Backends that its tasks wait for are put to `kept`."""
        if now - self._first[priority][1] >= self._max_bypass:
            choice = self._start(firsts[0], now, kept)
            if choice is not None:
                return choice
        loads: list[tuple[str, BackendSlots]] = []
        waits: list[BackendSlots] = []
        for task_id in firsts:
            backend, room = self._place(task_id, now, kept)
            if backend is None:
                continue
            if room is Room.WARM:
                return self._chosen(task_id, backend)
            if room.starts:
                loads.append((task_id, backend))
            else:
                waits.append(backend)
        if loads:
            return self._chosen(*loads[0])
        for backend in waits:
            if backend not in kept:
                kept.append(backend)
        return None

    def _start(self, task_id: str, now: float, kept: list[BackendSlots]) -> Choice | None:
        """Start it; if it cannot start yet, nothing else does where it waits."""
        backend, room = self._place(task_id, now, kept)
        if backend is None:
            return None
        if room.starts:
            return self._chosen(task_id, backend)
        kept.append(backend)
        return None

    def _place(
        self, task_id: str, now: float, kept: list[BackendSlots]
    ) -> tuple[BackendSlots | None, Room]:
        place = self._ready.place_of(task_id)
        assert place is not None
        return place_on(self._fleet.able(place.model, now), place, now, kept)

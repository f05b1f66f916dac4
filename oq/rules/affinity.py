"""The policy ``affinity``: as ``fifo``, but inside a priority tasks whose model is in memory go
first, so that a backend loads models less often. No task is passed over for longer than
`scheduler.max_bypass`: then nothing else starts on its backend until it has.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sortedcontainers import SortedList

from oq.rules.fifo import Fifo
from oq.rules.place import Place
from oq.rules.placing import place_on
from oq.rules.policy import Choice
from oq.rules.residency import Room
from oq.rules.slots import BackendSlots
from oq.words.config import SchedulerConfig

Alike = tuple[str, str]
"""What tasks of one load group have in common, by their own words: model and options."""


class Affinity(Fifo):
    """See `oq.rules.policy.Policy`. Of the line `fifo` says the order, and this one what starts."""

    def __init__(self, backends: Sequence[BackendSlots], settings: SchedulerConfig) -> None:
        super().__init__(backends, settings)
        self._max_bypass = settings.max_bypass
        self._bands: dict[int, dict[Alike, SortedList]] = {}
        self._first: dict[int, tuple[str, float]] = {}  # of each band, and since when it is that

    def load(self, tasks: Iterable[tuple[str, Place]]) -> None:
        every = dict(tasks)
        super().load(every.items())
        grouped: dict[int, dict[Alike, list[str]]] = {}
        for task_id, place in every.items():
            groups = grouped.setdefault(place.priority, {})
            groups.setdefault((place.model, place.load), []).append(task_id)
        self._bands = {
            priority: {alike: SortedList(ids) for alike, ids in groups.items()}
            for priority, groups in grouped.items()
        }

    def add(self, task_id: str, place: Place) -> None:
        super().add(task_id, place)
        groups = self._bands.setdefault(place.priority, {})
        groups.setdefault((place.model, place.load), SortedList()).add(task_id)

    def remove(self, task_id: str) -> bool:
        place = self._ready.place_of(task_id)
        if place is not None:
            self._leave_group(task_id, place)
        return super().remove(task_id)

    def next(self, now: float) -> Choice | None:
        kept: list[BackendSlots] = []
        bands = sorted(self._bands, reverse=True)
        for priority in bands:
            self._note_first(priority, now)
        if not any(backend.open for backend in self._backends):
            return None
        for priority in bands:
            choice = self._of_band(priority, now, kept)
            if choice is not None or len(kept) == len(self._backends):
                return choice
        return None

    def _of_band(self, priority: int, now: float, kept: list[BackendSlots]) -> Choice | None:
        """The next of this priority. Backends that its tasks wait for are put to `kept`."""
        groups = self._bands[priority]
        firsts = sorted((ids[0], alike) for alike, ids in groups.items())
        first = firsts[0][0]
        if now - self._first[priority][1] >= self._max_bypass:
            choice = self._start(first, now, kept)
            if choice is not None:
                return choice
        loads: list[tuple[str, BackendSlots]] = []
        waits: list[tuple[str, BackendSlots]] = []
        for task_id, _ in firsts:
            place = self._ready.place_of(task_id)
            assert place is not None
            backend, room = place_on(self._backends, place, now, kept)
            if backend is None:
                continue
            if room is Room.WARM:
                return self._chosen(task_id, backend)
            (loads if room.starts else waits).append((task_id, backend))
        if loads:
            return self._chosen(*loads[0])
        for _, backend in waits:
            if backend not in kept:
                kept.append(backend)
        return None

    def _start(self, task_id: str, now: float, kept: list[BackendSlots]) -> Choice | None:
        """Start it; if it cannot start yet, nothing else does where it waits."""
        place = self._ready.place_of(task_id)
        assert place is not None
        backend, room = place_on(self._backends, place, now, kept)
        if backend is None:
            return None
        if room.starts:
            return self._chosen(task_id, backend)
        kept.append(backend)
        return None

    def _note_first(self, priority: int, now: float) -> None:
        """Note since when the first task of this priority has been the first."""
        first: str = min(ids[0] for ids in self._bands[priority].values())
        known = self._first.get(priority)
        if known is None or known[0] != first:
            self._first[priority] = first, now

    def _chosen(self, task_id: str, backend: BackendSlots) -> Choice:
        choice = super()._chosen(task_id, backend)
        self._leave_group(task_id, choice.place)
        return choice

    def _leave_group(self, task_id: str, place: Place) -> None:
        groups = self._bands[place.priority]
        ids = groups[place.model, place.load]
        ids.remove(task_id)
        if not ids:
            del groups[place.model, place.load]
        if not groups:
            del self._bands[place.priority]
            self._first.pop(place.priority, None)

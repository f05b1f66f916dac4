"""The policy ``fifo``: strictly by priority, and inside one in the order of submission."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from oq.rules.place import Place
from oq.rules.placing import place_on, ranked
from oq.rules.policy import Choice
from oq.rules.ready import ReadyQueue
from oq.rules.residency import Room
from oq.rules.slots import BackendSlots
from oq.words.config import SchedulerConfig

LOOK = 100
"""Tasks behind the first that are looked at for a backend that those before do not wait for."""


class Fifo:
    """See `oq.rules.policy.Policy`, whose verbs these are.

    A task that cannot start now keeps its backend: no task behind it starts there before. On the
    other backends, if there are any, those behind it may start.
    """

    def __init__(self, backends: Sequence[BackendSlots], settings: SchedulerConfig) -> None:
        self._backends = backends
        self._ready = ReadyQueue()

    def load(self, tasks: Iterable[tuple[str, Place]]) -> None:
        self._ready = ReadyQueue(dict(tasks))

    def add(self, task_id: str, place: Place) -> None:
        self._ready.push(task_id, place)

    def remove(self, task_id: str) -> bool:
        return self._ready.discard(task_id) is not None

    def ended(self, task_id: str, backend: str) -> None:
        pass  # the records of the backends say all that it wants to know

    def next(self, now: float) -> Choice | None:
        if not self._ready:
            return None
        backends = self._backends
        if len(backends) == 1:
            return self._first_on(backends[0]) if self._starts_on(backends[0], now) else None
        left = [backend for backend in backends if backend.open]
        if not left:
            return None
        _, place = self._ready.first()
        backend, room = place_on(left, place, now)
        if backend is not None and room.starts:
            return self._first_on(backend)
        return self._behind_first(now)

    def _starts_on(self, backend: BackendSlots, now: float) -> bool:
        """Whether the first task can start there now."""
        if not backend.open:
            return False
        if backend.plain:  # it starts whatever comes, so the task need not be looked at
            return True
        _, place = self._ready.first()
        return backend.room(place, now).starts

    def _behind_first(self, now: float) -> Choice | None:
        """Of those behind the first, which waits: the next that starts on another backend."""
        kept: set[str] = set()
        choices: dict[tuple[str, str], list[tuple[BackendSlots, Room]]] = {}
        for task_id in islice(self._ready, LOOK):
            place = self._ready.place_of(task_id)
            assert place is not None
            alike = place.model, place.load
            if alike not in choices:
                choices[alike] = ranked(self._backends, place, now)[::-1]
            left = choices[alike]
            while left and left[-1][0].name in kept:
                left.pop()
            if not left:
                continue
            backend, room = left.pop()
            if room.starts:
                return self._chosen(task_id, backend)
            kept.add(backend.name)
            if len(kept) == len(self._backends):
                return None
        return None

    def _chosen(self, task_id: str, backend: BackendSlots) -> Choice:
        place = self._ready.discard(task_id)
        assert place is not None
        return Choice(task_id, place, backend.name)

    def _first_on(self, backend: BackendSlots) -> Choice:
        task_id, place = self._ready.pop()
        return Choice(task_id, place, backend.name)

    def first(self) -> tuple[str, Place] | None:
        return self._ready.first() if self._ready else None

    def place_of(self, task_id: str) -> Place | None:
        return self._ready.place_of(task_id)

    def __len__(self) -> int:
        return len(self._ready)

    def __contains__(self, task_id: str) -> bool:
        return task_id in self._ready

    def position(self, task_id: str) -> int | None:
        return self._ready.position(task_id)

    def in_line(self, behind: tuple[int, str] | None = None) -> Iterator[str]:
        return iter(self._ready) if behind is None else self._ready.beyond(*behind)

    def oldest(self) -> str | None:
        return self._ready.oldest()

    def by_priority(self) -> dict[int, int]:
        return self._ready.by_priority()

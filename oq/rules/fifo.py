"""The policy ``fifo``: strictly by priority, inside one in the order of submission, and each task
on the first backend that has a slot.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from oq.rules.place import Place
from oq.rules.ready import ReadyQueue
from oq.rules.slots import BackendSlots
from oq.words.config import SchedulerConfig


class Fifo:
    """See `oq.rules.policy.Policy`, whose verbs these are."""

    def __init__(self, backends: Sequence[BackendSlots], settings: SchedulerConfig) -> None:
        self._backends = backends
        self._ready = ReadyQueue()

    def load(self, tasks: Iterable[tuple[str, Place]]) -> None:
        self._ready = ReadyQueue({task_id: place.priority for task_id, place in tasks})

    def add(self, task_id: str, place: Place) -> None:
        self._ready.push(task_id, place.priority)

    def remove(self, task_id: str) -> bool:
        return self._ready.discard(task_id)

    def ended(self, task_id: str, backend: str) -> None:
        pass  # the records of the backends say all that it wants to know

    def next(self, now: float) -> tuple[str, str] | None:
        if not self._ready:
            return None
        for backend in self._backends:
            if backend.open:
                return self._ready.pop(), backend.name
        return None

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

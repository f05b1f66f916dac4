"""Slots that are kept free for tasks of higher priorities, and tasks that run only when it is
quiet.
"""

from __future__ import annotations

from collections import Counter
from math import inf

from oq.rules.fleet import Fleet
from oq.rules.place import Place
from oq.rules.slots import BackendSlots
from oq.rules.terms import parse_priority
from oq.words.config import ReserveConfig

IDLE = 0
"""The priority of tasks that run only when nothing else does."""


class Reserve:
    """Of the slots that a backend has for a model, and of the workers, some are not given to tasks
    of lower priorities. At least one is. While it is being found out how many slots there are, all
    tasks take part in that.
    """

    def __init__(self, settings: tuple[ReserveConfig, ...], fleet: Fleet) -> None:
        self._rules = [(parse_priority(one.priority), one.slots) for one in settings]
        self._fleet = fleet
        self._running: dict[str, tuple[BackendSlots, Place]] = {}
        self._of_all: Counter[int] = Counter()  # how many run, by priority
        self._there: dict[BackendSlots, Counter[Place]] = {}  # and on each backend, by their places

    def denies(self, backend: BackendSlots, place: Place) -> bool:
        """Whether the slots that are left are not for this task."""
        served = backend.serves(place)
        for priority, slots in self._rules:
            if place.priority >= priority:
                continue
            lower = sum(number for level, number in self._of_all.items() if level < priority)
            if lower >= max(1, self._fleet.workers - slots):
                return True
            if served is None or lower < max(1, served - slots):
                continue
            alike = sum(
                number
                for other, number in self._there.get(backend, Counter[Place]()).items()
                if other.priority < priority and backend.alike(other, place)
            )
            if alike >= max(1, served - slots):
                return True
        return False

    def started(self, task_id: str, place: Place, backend: BackendSlots) -> None:
        self._running[task_id] = backend, place
        self._of_all[place.priority] += 1
        self._there.setdefault(backend, Counter())[place] += 1

    def ended(self, task_id: str) -> None:
        backend, place = self._running.pop(task_id)
        self._of_all[place.priority] -= 1
        there = self._there[backend]
        there[place] -= 1
        if not there[place]:
            del there[place]


class Quiet:
    """Whether nothing above the idle priority has run for `after` seconds."""

    def __init__(self, after: float) -> None:
        self._after = after
        self._above: set[str] = set()  # those that run
        self._since = -inf  # when the last of them has ended

    def allows(self, priority: int, now: float) -> bool:
        """Whether tasks of this priority may start now."""
        return priority > IDLE or self.due() <= now

    def due(self) -> float:
        """When idle tasks may start, if nothing else does until then."""
        return inf if self._above else self._since + self._after

    def started(self, task_id: str, place: Place) -> None:
        if place.priority > IDLE:
            self._above.add(task_id)

    def ended(self, task_id: str, now: float) -> None:
        if task_id in self._above:
            self._above.remove(task_id)
            self._since = now

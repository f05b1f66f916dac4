"""Slots that are kept free for tasks of higher priorities, and tasks that run only when it is
quiet.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import inf

from oq.rules.fleet import Fleet
from oq.rules.model_names import one_name
from oq.rules.place import Place
from oq.rules.slots import BackendSlots
from oq.rules.terms import parse_priority
from oq.words.config import ReserveConfig

IDLE = 0
"""The priority of tasks that run only when nothing else does."""


@dataclass(slots=True)
class _Rule:
    """So many slots are for tasks of this priority, and of higher ones. `lower` tasks run that have
    a lower one.
    """

    priority: int
    slots: int
    lower: int = 0

    def filled(self, slots: float) -> bool:
        """Whether, were they all there, lower tasks had all that are theirs of so many slots."""
        return self.lower >= max(1, slots - self.slots)


class Reserve:
    """Of the slots that a backend has for a model, and of the workers, some are not given to tasks
    of lower priorities. At least one is. While it is being found out how many slots there are, all
    tasks take part in that.
    """

    def __init__(self, settings: tuple[ReserveConfig, ...], fleet: Fleet) -> None:
        self._rules = [_Rule(parse_priority(one.priority), one.slots) for one in settings]
        self._fleet = fleet
        self._there: dict[BackendSlots, Counter[Place]] = {}  # and on each backend, by their places

    def denies(self, backend: BackendSlots, place: Place) -> bool:
        """Whether the slots that are left are not for this task."""
        for rule in self._rules:
            if place.priority >= rule.priority:
                continue
            if rule.filled(self._fleet.workers):
                return True
            served = backend.serves(place)
            if served is not None and rule.filled(served):
                if self._fills(rule, backend, served, lambda other: backend.alike(other, place)):
                    return True
        return False

    def denies_model(self, backend: BackendSlots, place: Place) -> bool:
        """Whether those that are left of the limit of its model are not for this task."""
        if backend.model_limits is None:
            return False
        limit, name = backend.model_limits.of(place.model), one_name(place.model)
        return limit is not None and any(
            place.priority < rule.priority
            and rule.filled(limit)
            and self._fills(rule, backend, limit, lambda other: one_name(other.model) == name)
            for rule in self._rules
        )

    def _fills(
        self,
        rule: _Rule,
        backend: BackendSlots,
        slots: int,
        is_alike: Callable[[Place], bool],
    ) -> bool:
        """Whether lower tasks have all that are theirs of so many slots, which alike ones share."""
        there = self._there.get(backend, Counter[Place]())
        alike = sum(
            number
            for other, number in there.items()
            if other.priority < rule.priority and is_alike(other)
        )
        return alike >= max(1, slots - rule.slots)

    def closes(self, backends: Iterable[BackendSlots], priority: int) -> bool:
        """Whether it is known, without a look at the tasks, that none of the slots that are left
        there is for one of this priority, nor for one of a lower priority.
        """
        place = Place(priority, "")
        for backend in backends:
            if backend.residency is not None:  # it has slots for each model
                return self._closes_all(priority)
            if not self.denies(backend, place):
                return False
        return True

    def _closes_all(self, priority: int) -> bool:
        """Whether all workers that are left are for higher priorities."""
        return any(
            priority < rule.priority and rule.filled(self._fleet.workers) for rule in self._rules
        )

    def started(self, place: Place, backend: BackendSlots) -> None:
        for rule in self._rules:
            if place.priority < rule.priority:
                rule.lower += 1
        there = self._there.get(backend)
        if there is None:
            there = self._there[backend] = Counter()
        there[place] += 1

    def ended(self, place: Place, backend: BackendSlots) -> None:
        for rule in self._rules:
            if place.priority < rule.priority:
                rule.lower -= 1
        there = self._there[backend]
        left = there[place] - 1
        if left:
            there[place] = left
        else:
            del there[place]


class Quiet:
    """Whether nothing above the idle priority has run for `after` seconds."""

    def __init__(self, after: float) -> None:
        self._after = after
        self._above = 0  # so many run
        self._since = -inf  # when the last of them has ended

    def allows(self, priority: int, now: float) -> bool:
        """Whether tasks of this priority may start now."""
        return priority > IDLE or self.due() <= now

    def due(self) -> float:
        """When idle tasks may start, if nothing else does until then."""
        return inf if self._above else self._since + self._after

    def started(self, place: Place) -> None:
        self._above += place.priority > IDLE

    def ended(self, place: Place, now: float) -> None:
        if place.priority > IDLE:
            self._above -= 1
            self._since = now

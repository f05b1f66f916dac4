"""Slots that are kept free for tasks of higher priorities, and tasks that run only when it is
quiet.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import inf

from oq.rules.by_route import Alike
from oq.rules.fleet import Fleet
from oq.rules.model_names import one_name
from oq.rules.place import Place
from oq.rules.slots import BackendSlots
from oq.rules.terms import parse_priority
from oq.words.config import ReserveConfig

IDLE = 0
"""The priority of tasks that run only when nothing else does."""


class _Lower:
    """The tasks of lower priorities that run on one backend: how many, how many of each kind and,
    where models have limits, how many of each model by its one name.
    """

    __slots__ = ("kinds", "models", "tasks")

    def __init__(self, *, limited: bool) -> None:
        self.tasks = 0
        self.kinds: dict[Alike, int] = {}
        self.models: Counter[str] | None = Counter() if limited else None

    def add(self, place: Place) -> None:
        """One with this place starts."""
        kind = place.model, place.load
        self.tasks += 1
        self.kinds[kind] = self.kinds.get(kind, 0) + 1
        if self.models is not None:
            self.models[one_name(place.model)] += 1

    def remove(self, place: Place) -> None:
        """One has ended."""
        kind = place.model, place.load
        self.tasks -= 1
        if self.kinds[kind] > 1:
            self.kinds[kind] -= 1
        else:
            del self.kinds[kind]
        if self.models is not None:
            name = one_name(place.model)
            self.models[name] -= 1
            if not self.models[name]:
                del self.models[name]

    def alike(self, backend: BackendSlots, place: Place) -> int:
        """How many share their slots on this backend with a task that has this place."""
        if backend.residency is None:
            return self.tasks
        model, any_load = backend.model(place.model), not backend.by_options
        return sum(
            number
            for (name, load), number in self.kinds.items()
            if (any_load or load == place.load) and backend.model(name) == model
        )


@dataclass(slots=True)
class _Rule:
    """So many slots are for tasks of this priority, and of higher ones. `lower` tasks run that have
    a lower one, and `there` are those on each backend.
    """

    priority: int
    slots: int
    lower: int = 0
    there: dict[BackendSlots, _Lower] = field(default_factory=dict)

    def left(self, slots: float) -> float:
        """So many of these slots are for lower tasks. At least one is."""
        return max(1, slots - self.slots)

    def filled(self, slots: float) -> bool:
        """Whether, were they all there, lower tasks had all that are theirs of so many slots."""
        return self.lower >= self.left(slots)


class Reserve:
    """Of the slots that a backend has for a model, and of the workers, some are not given to tasks
    of lower priorities. At least one is. While it is being found out how many slots there are, all
    tasks take part in that.
    """

    def __init__(self, settings: tuple[ReserveConfig, ...], fleet: Fleet) -> None:
        self._rules = [_Rule(parse_priority(one.priority), one.slots) for one in settings]
        self._fleet = fleet

    def denies(self, backend: BackendSlots, place: Place) -> bool:
        """Whether the slots that are left are not for this task."""
        for rule in self._rules:
            if place.priority >= rule.priority:
                continue
            if rule.filled(self._fleet.workers):
                return True
            served = backend.serves(place)
            if served is not None and rule.filled(served):
                there = rule.there.get(backend)
                if there is not None and there.alike(backend, place) >= rule.left(served):
                    return True
        return False

    def denies_model(self, backend: BackendSlots, place: Place) -> bool:
        """Whether those that are left of the limit of its model are not for this task."""
        if backend.model_limits is None:
            return False
        limit, name = backend.model_limits.of(place.model), one_name(place.model)
        if limit is None:
            return False
        for rule in self._rules:
            if place.priority < rule.priority and rule.filled(limit):
                there = rule.there.get(backend)
                models = None if there is None else there.models
                if models is not None and models[name] >= rule.left(limit):
                    return True
        return False

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
                there = rule.there.get(backend)
                if there is None:
                    limited = backend.model_limits is not None
                    there = rule.there[backend] = _Lower(limited=limited)
                there.add(place)

    def ended(self, place: Place, backend: BackendSlots) -> None:
        for rule in self._rules:
            if place.priority < rule.priority:
                rule.lower -= 1
                rule.there[backend].remove(place)


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

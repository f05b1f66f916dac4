"""How much work waits: by priority, and of which models."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from oq.rules.fleet import Fleet
from oq.rules.place import Place
from oq.rules.service_times import MODELS, ServiceTimes
from oq.rules.slots import BackendSlots

WEIGHED = 1.0
"""Seconds after which what waits is weighed anew, by what is known of each model then."""


@dataclass(slots=True)
class Lane:
    """What waits of one priority. `counts` is by model, in the order in which each began to wait.
    `work` is in seconds. `swaps` says how often the next one has another model, in the order in
    which they came. `shares` says which part of the work is for some backends.
    """

    priority: int
    counts: dict[str, int] = field(default_factory=dict)
    count: int = 0
    work: float = 0.0
    swaps: int = 0
    last: str = ""
    shares: dict[tuple[str, ...], float] = field(default_factory=dict)


class Backlog:
    """Running sums over the tasks that are ready. To add one or to take one out is O(1)."""

    def __init__(self, times: ServiceTimes, fleet: Fleet) -> None:
        self._times = times
        self._fleet = fleet
        self._lanes: dict[int, Lane] = {}
        self._weights: dict[str, float] = {}  # what the tasks of each model were weighed with
        self._weighed_at = 0.0
        self._started = ""  # the model of the last one that did

    def add(self, priority: int, model: str, number: int) -> None:
        """So many tasks of a model come, one after the other."""
        lane = self._lanes.get(priority)
        if lane is None:
            lane = self._lanes[priority] = Lane(priority)
        lane.swaps += lane.count > 0 and lane.last != model
        lane.last = model
        lane.counts[model] = lane.counts.get(model, 0) + number
        lane.count += number
        lane.work += number * self._weight(model)

    def start(self, place: Place, number: int) -> None:
        """So many with this place have started, one after the other."""
        self.remove(place, number)
        if place.model != self._started:
            self._started = place.model
            lane = self._lanes.get(place.priority)
            if lane is not None and lane.swaps:
                lane.swaps -= 1

    def remove(self, place: Place, number: int) -> None:
        """So many with this place wait no longer. KeyError if none such did."""
        lane, model = self._lanes[place.priority], place.model
        lane.count -= number
        if not lane.count:
            del self._lanes[place.priority]
            return
        left = lane.counts[model] - number
        if left:
            lane.counts[model] = left
        else:
            del lane.counts[model]
        lane.work -= number * self._weight(model)

    def lane(self, priority: int) -> Lane | None:
        return self._lanes.get(priority)

    def above(self, priority: int) -> Iterator[Lane]:
        """The lanes of the higher priorities."""
        return (lane for level, lane in self._lanes.items() if level > priority)

    def by_model(self) -> Iterator[tuple[str, int]]:
        """How many wait of each model, once for each priority that it has any of."""
        return (count for lane in self._lanes.values() for count in lane.counts.items())

    def last_of_each(self) -> Iterator[Place]:
        """The last place in line that a task of each model would have."""
        if self._lanes:
            lowest = min(self._lanes)
            models = {model for lane in self._lanes.values() for model in lane.counts}
            yield from (Place(lowest, model) for model in sorted(models))

    def share(self, lane: Lane, backends: Sequence[BackendSlots]) -> float:
        """The part of a lane's work that is for these backends, if those that may run a task are
        equal before it.
        """
        if len(backends) == len(self._fleet):
            return 1.0
        names = tuple(backend.name for backend in backends)
        share = lane.shares.get(names)
        if share is None:
            share = lane.shares[names] = self._share(lane, set(names))
        return share

    def weigh(self, now: float) -> None:
        """Weigh all anew, if that was long ago. It looks at the models of each lane, not at its
        tasks.
        """
        if now - self._weighed_at < WEIGHED and len(self._weights) <= MODELS:
            return
        self._weighed_at = now
        self._weights.clear()
        for lane in self._lanes.values():
            lane.work = sum(count * self._weight(model) for model, count in lane.counts.items())
            lane.shares.clear()

    def _share(self, lane: Lane, names: set[str]) -> float:
        for_these = 0.0
        for model, count in lane.counts.items():
            able = [one.name in names for one in self._fleet.likely(model)]
            for_these += count * self._weight(model) * sum(able) / len(able)
        return for_these / lane.work if lane.work > 0 else 1.0

    def _weight(self, model: str) -> float:
        weight = self._weights.get(model)
        if weight is None:
            weight = self._weights[model] = self._times.of(model)
        return weight

"""How much starts before a waiting task, where the tenant that has got least is next: see `Shares`.

All tenants rise to one level of service. Before a task starts, its tenant gets what its own tasks
before it cost, and each other tenant what brings it to the same level, if it has so many tasks
(max-min fairness, found by water filling: Bertsekas and Gallager, Data Networks, 1992).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable
from itertools import chain, islice
from typing import TYPE_CHECKING

from msgspec import Struct

from oq.rules.bands import Band, Flow
from oq.rules.place import Place
from oq.rules.shares import Shares

if TYPE_CHECKING:
    from sortedcontainers import SortedList

Seconds = Callable[[str], float]
"""What a task of a model is expected to take."""
FRESH = 0.0005
"""Seconds, for each tenant, for which it counts what all of them have in line. So it costs no more
than about the hundredth part of the time to know it, however many they are.
"""
CHANGED = 0.1
"""But no longer than until so large a part of the tasks has come or gone."""
KINDS = 4
"""Kinds of task of one tenant that are looked at, if it has more: they tell of all."""


class _Line(Struct, frozen=True, gc=False):
    """What waits of one tenant: so many tasks; what one of them adds to its counter, and how many
    seconds it is expected to take, on average; and the counter.
    """

    tasks: int
    cost: float
    took: float
    counter: float

    @property
    def all(self) -> float:
        """The seconds of work of all."""
        return self.tasks * self.took

    def served(self, level: float) -> float:
        """The seconds of work that start until it is at this level."""
        return min(max(0.0, (level - self.counter) / self.cost), self.tasks) * self.took


class _Levels:
    """What waits of one priority, by tenant."""

    def __init__(self, band: Band, lines: dict[str, _Line], now: float) -> None:
        self.lines = lines
        self._band = band
        self._tasks = len(band.line)
        self._until = now + FRESH * len(lines)
        changes: list[tuple[float, float]] = []  # of the work that starts for a unit of service
        for line in lines.values():
            rate = line.took / line.cost
            changes += [(line.counter, rate), (line.counter + line.tasks * line.cost, -rate)]
        changes.sort()
        self._levels = [level for level, _ in changes]
        self._rates: list[float] = []
        self._work: list[float] = []
        before, work, rate = self._levels[0], 0.0, 0.0
        for level, change in changes:
            work += (level - before) * rate
            rate += change
            before = level
            self._work.append(work)
            self._rates.append(rate)
        self.all = work

    def counts(self, band: Band, now: float) -> bool:
        """Whether it is still about what waits in this band."""
        changed = abs(len(band.line) - self._tasks)
        return band is self._band and now < self._until and changed <= CHANGED * self._tasks

    def served(self, level: float) -> float:
        """The seconds of work that start until all are at this level."""
        at = bisect_right(self._levels, level) - 1
        if at < 0:
            return 0.0
        return self._work[at] + (level - self._levels[at]) * self._rates[at]

    def others(self, line: _Line | None, level: float) -> float:
        """The same of all tenants but the one whose line this is."""
        work = self.served(level)
        return work if line is None else max(0.0, work - line.served(level))


class TenantTurns:
    """It looks at no task, and at all tenants now and then only."""

    def __init__(self, shares: Shares) -> None:
        self._shares = shares
        self._known: dict[int, _Levels] = {}

    def before(
        self,
        band: Band,
        place: Place,
        tenant: str,
        task_id: str | None,
        older: int,
        seconds: Seconds,
        now: float,
    ) -> float | None:
        """The share of the work of this priority that starts before a task of this tenant, or
        before one that comes now; None if that is what is `older`, which are so many tasks.
        """
        flow = band.flows.get(tenant)
        if flow is not None and len(band.flows) == 1:
            return None
        levels = self._known.get(place.priority)
        if levels is None or not levels.counts(band, now):
            levels = self._known[place.priority] = self._levels(band, place, seconds, now)
        known = levels.lines.get(tenant)
        if flow is None:
            own, all_own, line = 0.0, 0, self._none(place, tenant, seconds)
        else:
            own, all_own = flow.count if task_id is None else _before(flow, task_id), flow.count
            line = known or self._line(band, place.priority, flow, seconds)
        others = levels.all - (known.all if known else 0.0)
        tasks = len(band.line) - all_own
        everything = others + all_own * line.took
        if tasks <= 0 or everything <= 0.0:
            return None
        # Those whose counters differ by less than the quantum are served in the order of the line.
        level, quantum = line.counter + own * line.cost, self._shares.quantum
        work = others * min(1.0, max(0.0, (older - own) / tasks))
        most = levels.others(known, level + quantum)
        work = most if work > most else max(work, levels.others(known, level - quantum))
        return min(1.0, (own * line.took + work) / everything)

    def _levels(self, band: Band, place: Place, seconds: Seconds, now: float) -> _Levels:
        lines = {
            tenant: self._line(band, place.priority, flow, seconds)
            for tenant, flow in band.flows.items()
        }
        return _Levels(band, lines, now)

    def _line(self, band: Band, priority: int, flow: Flow, seconds: Seconds) -> _Line:
        """What waits of a tenant that has something in line."""
        seen, cost, took = 0, 0.0, 0.0
        for (model, _), ids in _some(flow):
            seen += (number := len(ids))
            cost += number * self._shares.cost(flow.tenant, model)
            took += number * seconds(model)
        tasks = len(band.line) if len(band.flows) == 1 else flow.count
        counter = self._shares.served(priority, flow.tenant)
        return _Line(tasks, cost / seen, took / seen, counter)

    def _none(self, place: Place, tenant: str, seconds: Seconds) -> _Line:
        """The same of one that has nothing in line."""
        cost = self._shares.cost(tenant, place.model)
        counter = self._shares.lifted(place.priority, tenant)
        return _Line(0, cost, seconds(place.model), counter)


def _some(flow: Flow) -> Iterable[tuple[tuple[str, str], SortedList[str]]]:
    """Some kinds of a tenant, with their tasks: those that came first and last."""
    groups = flow.groups
    if len(groups) <= KINDS:
        return groups.items()
    return chain(islice(groups.items(), KINDS // 2), islice(reversed(groups.items()), KINDS // 2))


def _before(flow: Flow, task_id: str) -> float:
    """How many tasks of its tenant are before this one, as far as some kinds tell."""
    before = seen = 0
    for _, ids in _some(flow):
        before += ids.bisect_left(task_id)
        seen += len(ids)
    return before * flow.count / seen

"""What tenants have got, so that each gets the same: a virtual token counter for each of them.

After Sheng et al., "Fairness in Serving Large Language Models", OSDI 2024 (arXiv 2401.00588).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from heapq import nlargest
from math import ceil

from oq.rules.waits import Waiting
from oq.words.config import FairnessConfig

EXPECTED = 500.0
"""What a task costs of which nothing is known: tokens, the generated ones twice."""
OF_LATE = 0.1
"""The weight of the latest task in what the next one of its model is expected to cost."""
MODELS = 1024
"""Models of which it is known what their tasks cost."""
TENANTS = 4096
"""Tenants that are remembered while they have nothing to do, of each priority."""


class _Band:
    """The counters of one priority: of tenants that have something to do, and of others. `running`
    is what is expected of the tasks that run, by tenant: how many, and what all of them cost.
    """

    __slots__ = ("active", "away", "running")

    def __init__(self) -> None:
        self.active: dict[str, float] = {}
        self.away: OrderedDict[str, float] = OrderedDict()  # the last one to leave is the last
        self.running: dict[str, tuple[int, float]] = {}

    def counters(self) -> dict[str, float]:
        """Of those that have something to do, with what is expected of the tasks that run."""
        counters = self.active.copy()
        for tenant, (_, cost) in self.running.items():
            if tenant in counters:
                counters[tenant] += cost
        return counters

    def lifted(self, tenant: str) -> float:
        """What the counter of one that has nothing to do will be when it has."""
        least = min(self.active.values(), default=None)
        if least is None:  # alone it is lifted to the last one that had something to do
            least = next(reversed(self.away.values()), 0.0)
        return max(self.away.get(tenant, 0.0), least)

    def with_running(self, tenant: str, counter: float) -> float:
        """This counter of a tenant, with what is expected of its tasks that run."""
        running = self.running.get(tenant)
        return counter if running is None else counter + running[1]


class Shares:
    """Tenants are compared inside one priority. A task counts with what is expected while it runs,
    and then with what it was. A tenant that comes back has what the least served of the others has:
    what it did not use while it was away is not kept for it.
    """

    def __init__(self, settings: FairnessConfig) -> None:
        self.quantum = settings.quantum
        self._weights = {one.tenant: one.weight for one in settings.weights}
        self._bands: dict[int, _Band] = {}
        self._running: dict[str, tuple[int, str, str, float]] = {}
        self._costs: OrderedDict[str, float] = OrderedDict()  # of a task, by model

    def load(self, tenants: Iterable[tuple[int, Iterable[str]]]) -> None:
        """At the start these have something to do, for each priority."""
        for priority, names in tenants:
            for tenant in names:
                self.joined(priority, tenant)

    def joined(self, priority: int, tenant: str) -> None:
        """A tenant has something to do."""
        band = self._bands.setdefault(priority, _Band())
        counter = band.lifted(tenant)
        band.away.pop(tenant, None)
        band.active[tenant] = counter

    def left(self, priority: int, tenant: str) -> None:
        """A tenant has nothing to do any more."""
        band = self._bands[priority]
        band.away[tenant] = band.active.pop(tenant)
        if len(band.away) > TENANTS:
            band.away.popitem(last=False)

    def started(self, task_id: str, priority: int, tenant: str, model: str) -> None:
        """A task of the tenant runs."""
        cost = self._costs.get(model, EXPECTED) / self._weights.get(tenant, 1.0)
        self._running[task_id] = priority, tenant, model, cost
        running = self._bands[priority].running
        number, costs = running.get(tenant, (0, 0.0))
        running[tenant] = number + 1, costs + cost

    def ended(self, task_id: str, cost: float | None) -> None:
        """It has ended. `cost` is what it was; None: nobody knows, so it was what was expected."""
        priority, tenant, model, expected = self._running.pop(task_id)
        took, band = expected, self._bands[priority]
        if cost is not None:
            took = cost / self._weights.get(tenant, 1.0)
            self._note_cost(model, cost)
        number, costs = band.running[tenant]
        if number == 1:  # so what is rounded never adds up
            del band.running[tenant]
        else:
            band.running[tenant] = number - 1, costs - expected
        counters = band.active if tenant in band.active else band.away
        if tenant in counters:
            counters[tenant] += took

    def _note_cost(self, model: str, cost: float) -> None:
        known = self._costs.pop(model, cost)
        self._costs[model] = known + OF_LATE * (cost - known)
        if len(self._costs) > MODELS:
            self._costs.popitem(last=False)

    def rounds(self, priority: int) -> Iterator[list[str]]:
        """Those that have something to do; equals together, the least served first."""
        counters = self._bands[priority].counters()
        most = min(counters.values()) + self.quantum
        yield [tenant for tenant, counter in counters.items() if counter <= most]
        rest = sorted((counter, tenant) for tenant, counter in counters.items() if counter > most)
        while rest:
            most = rest[0][0] + self.quantum
            equals = [tenant for counter, tenant in rest if counter <= most]
            yield equals
            del rest[: len(equals)]

    def expected(self, model: str) -> float:
        """What a task of this model is expected to cost, in tokens."""
        return self._costs.get(model, EXPECTED)

    def cost(self, tenant: str, model: str) -> float:
        """What such a task is expected to add to the counter of a tenant: more than 0."""
        return max(self._costs.get(model, EXPECTED), 1.0) / self._weights.get(tenant, 1.0)

    def turns(self, priority: int, waiting: Mapping[str, Waiting], number: int) -> dict[str, int]:
        """How many of the next so many starts of this priority are of each tenant, about, as long
        as these tasks wait. There are more of them than that.
        """
        counters = self._bands[priority].counters()
        lines: dict[str, tuple[float, float, int]] = {}
        for tenant, theirs in waiting.items():
            each = max(theirs.each, 1.0) / self._weights.get(tenant, 1.0)
            lines[tenant] = counters[tenant], each, theirs.tasks
        level = _level(lines.values(), number)
        starts = {
            tenant: min(tasks, max(0, ceil((level - counter) / each - 1e-6)))
            for tenant, (counter, each, tasks) in lines.items()
        }
        last = [  # of each tenant the level of the last of these starts
            (counter + (starts[tenant] - 1) * each, tenant)
            for tenant, (counter, each, _) in lines.items()
            if starts[tenant]
        ]
        for _, tenant in nlargest(sum(starts.values()) - number, last):
            starts[tenant] -= 1
        return starts

    def served(self, priority: int, tenant: str) -> float:
        """What it has got since it came or was lifted, in weighted tokens, with what is expected
        of the tasks that run. KeyError if it has nothing to do.
        """
        band = self._bands[priority]
        return band.with_running(tenant, band.active[tenant])

    def lifted(self, priority: int, tenant: str) -> float:
        """The same for one that has nothing to do, as it will be when it has."""
        band = self._bands.get(priority)
        return 0.0 if band is None else band.with_running(tenant, band.lifted(tenant))


def _level(lines: Iterable[tuple[float, float, int]], number: int) -> float:
    """What the least served tenants have got when so many tasks have started. Each has a counter,
    what a task adds to it, and so many tasks.
    """
    changes: list[tuple[float, float]] = []  # of the tasks that start for each unit of service
    for counter, each, tasks in lines:
        changes += [(counter, 1 / each), (counter + tasks * each, -1 / each)]
    changes.sort()
    level, rate, left = changes[0][0], 0.0, float(number)
    for at, change in changes:
        starts = (at - level) * rate
        if starts >= left:
            return level + left / rate if left else level
        left -= starts
        level, rate = at, rate + change
    return level  # pragma: no cover - the tasks are enough, but for what rounding may take

"""What waits of each tenant: how many tasks, and what they cost on average."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from msgspec import Struct

from oq.rules.bands import Band, Flow
from oq.rules.by_route import Alike

FRESH = 1.0
"""Seconds for which it counts what the tasks of each model were expected to cost."""


class Waiting(Struct, frozen=True, gc=False):
    """So many tasks of one tenant, and what one of them costs, in tokens."""

    tasks: int
    each: float


NONE = Waiting(0, 0.0)


class Waits:
    """Of one priority. It looks at the tenants of which tasks have come or gone since."""

    def __init__(self, cost: Callable[[str], float]) -> None:
        """`cost` is what a task of a model is expected to cost."""
        self._cost = cost
        self._band: Band | None = None
        self._kinds: Collection[Alike] = ()
        self._at = 0.0
        self._known: dict[str, tuple[Flow, int, Waiting]] = {}

    def of(self, band: Band, kinds: Collection[Alike], now: float) -> Mapping[str, Waiting]:
        """By tenant, of these kinds."""
        if band is not self._band or kinds != self._kinds or now - self._at >= FRESH:
            self._band, self._kinds, self._at = band, kinds, now
            self._known = {}
        before, self._known = self._known, {}
        costs: dict[Alike, float] = {}
        for tenant, flow in band.flows.items():
            known = before.get(tenant)
            if known is None or known[0] is not flow or known[1] != flow.changes:
                costs = costs or {kind: self._cost(kind[0]) for kind in kinds}
                known = flow, flow.changes, _sum(flow, costs)
            self._known[tenant] = known
        return {tenant: waiting for tenant, (_, _, waiting) in self._known.items() if waiting.tasks}


def _sum(flow: Flow, costs: Mapping[Alike, float]) -> Waiting:
    tasks, all_together = 0, 0.0
    for kind, ids in flow.groups.items():
        cost = costs.get(kind)
        if cost is not None:
            tasks += len(ids)
            all_together += len(ids) * cost
    return Waiting(tasks, all_together / tasks) if tasks else NONE

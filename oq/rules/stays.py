"""Which tasks of one priority stay for the lower tiers: those whose turn comes soon there."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence
from heapq import merge
from itertools import islice
from math import inf

from oq.rules.bands import Band, Flow
from oq.rules.by_route import Alike

FEW = 64
"""So many tasks are counted one by one to find the next; of more it is searched for."""


class Stays:
    """Of one priority. What it has found out of a tenant it remembers until something changes."""

    def __init__(self) -> None:
        self._line: Sequence[str] = ()
        self._below: Collection[Alike] = ()
        self._kinds: Mapping[Alike, bool] = {}
        self._stays: Mapping[str, float] = {}
        self._known: dict[str, tuple[Flow, int, float, str | None]] = {}

    def prepare(
        self,
        band: Band,
        below: Collection[Alike],
        kinds: Mapping[Alike, bool],
        stays: Mapping[str, float],
    ) -> None:
        """Of the tasks of the kinds `below` the first ones stay: `stays` has how many, by tenant;
        inf: all. So does what is before the next of them. Those of these `kinds` can go; of a kind
        that is true none stays.
        """
        same = band.line is self._line and below == self._below and kinds == self._kinds
        if not same or len(self._known) > 2 * len(band.flows) or band.alike is not None:
            self._known = {}
        self._line, self._below, self._kinds, self._stays = band.line, below, kinds, stays

    def first(self, flow: Flow) -> str | None:
        """The first task of this tenant that goes; None if there is none."""
        stay = self._stays.get(flow.tenant, 0)
        known = self._known.get(flow.tenant)
        if known is None or known[0] is not flow or known[1:3] != (flow.changes, stay):
            found = self._find(flow, stay)
            known = self._known[flow.tenant] = flow, flow.changes, stay, found
        return known[3]

    def _find(self, flow: Flow, stay: float) -> str | None:
        start = self._start(flow, stay)
        found: list[str] = []
        for kind, always in self._kinds.items():
            if kind in flow.groups and (always or start is not None):
                found += islice(flow.groups[kind].irange(None if always else start), 1)
        return min(found, default=None)

    def _start(self, flow: Flow, stay: float) -> str | None:
        """The first task of those below that does not stay; None if all do."""
        if stay == inf:
            return None
        groups = [flow.groups[kind] for kind in self._below if kind in flow.groups]
        tasks = sum(map(len, groups))
        if stay >= tasks:
            return None
        if len(groups) == 1:
            return str(groups[0][int(stay)])
        if tasks == len(self._line):
            return self._line[int(stay)]
        if stay < FEW:
            return str(next(islice(merge(*groups), int(stay), None)))

        def up_to(task_id: str) -> int:
            return sum(ids.bisect_right(task_id) for ids in groups)

        return self._line[bisect_left(self._line, int(stay) + 1, key=up_to)]

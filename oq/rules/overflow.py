"""Which waiting task a backend of a higher tier takes from those of lower tiers."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from heapq import merge
from itertools import islice
from math import inf
from operator import attrgetter

from oq.rules.bands import Band, Bands, Flow
from oq.rules.by_route import Alike
from oq.rules.fleet import Fleet
from oq.rules.place import Place
from oq.rules.placing import room_on
from oq.rules.ready import ReadyQueue
from oq.rules.reserve import Quiet, Reserve
from oq.rules.shares import Shares
from oq.rules.slots import BackendSlots

FEW = 64
"""So many tasks are counted one by one to find the next; of more it is searched for."""


def _unknown(backends: Sequence[BackendSlots], now: float) -> float | None:
    return None


class Overflow:
    """A task goes up if it would wait for longer than `overflow_after`: by its place among those
    that wait for lower tiers, or because those that have its model have been out of order for so
    long. The other rules hold for it as for each task.
    """

    def __init__(
        self, fleet: Fleet, reserve: Reserve | None, quiet: Quiet | None, shares: Shares | None
    ) -> None:
        self._fleet = fleet
        self._reserve = reserve
        self._quiet = quiet
        self._shares = shares
        self.seconds_each: Callable[[Sequence[BackendSlots], float], float | None] = _unknown
        """As in `Policy`."""

    def next(
        self, ready: ReadyQueue, bands: Bands, backends: Sequence[BackendSlots], now: float
    ) -> tuple[str, BackendSlots] | None:
        """The first task that goes to one of these backends, those of the lowest tier being asked
        first. They are open, and no task waits for them. The tasks before it stay: their turn comes
        sooner than that.
        """
        for backend in sorted(backends, key=attrgetter("tier")):
            if not any(one.tier < backend.tier for one in self._fleet):
                continue
            stay = self._stay(backend, now)
            for priority, band in bands:
                below = [kind for kind in band.kinds if self._waits_below(kind, backend, now)]
                here = sum(band.kinds[kind] for kind in below)
                if self._quiet is None or self._quiet.allows(priority, now):
                    kinds = self._that_may(priority, band, backend, now)
                    stays = self._stays(priority, band, below, stay) if kinds else {}
                    turn = _Turn(ready.line(priority), below, stays)
                    task_id = self._first(priority, band, turn, kinds) if kinds else None
                    if task_id is not None:
                        return task_id, backend
                stay = max(0, stay - here)
        return None

    def due(self, now: float) -> float:
        """When lower tiers will have been out of order for long enough; inf for never."""
        times = (
            since + backend.overflow_after
            for backend in self._fleet
            for one in self._fleet
            if one.tier < backend.tier
            for since in one.outages.since_when()
        )
        return min((time for time in times if time > now), default=inf)

    def _stay(self, backend: BackendSlots, now: float) -> float:
        """How many tasks that wait for lower tiers do not wait too long for this one to take them;
        inf: all.
        """
        lower = [one for one in self._fleet if one.tier < backend.tier and one.down is None]
        each = self.seconds_each(lower, now) if lower else None
        return inf if not each else int(backend.overflow_after / each)

    def _waits_below(self, kind: Alike, backend: BackendSlots, now: float) -> bool:
        """Whether tasks of this kind wait for a lower tier that takes such tasks."""
        place = Place(0, kind[0], load=kind[1])
        return any(
            one.tier < backend.tier and one.down is None and one.failing_since(place) is None
            for one in self._fleet.able(place.model, now)
        )

    def _that_may(
        self, priority: int, band: Band, backend: BackendSlots, now: float
    ) -> dict[Alike, bool]:
        """The kinds of which a task can start on the backend; and whether each does that whatever
        its place, for lower tiers have been out of order for too long.
        """
        kinds: dict[Alike, bool] = {}
        for kind in band.kinds:
            place = Place(priority, kind[0], load=kind[1])
            if backend not in self._fleet.above(place.model):
                continue
            if not self._fleet.able(place.model, now):
                continue  # it is being asked who has it
            if room_on(backend, place, now, self._reserve).starts:
                kinds[kind] = self._out_of_order(place, backend, now)
        return kinds

    def _stays(
        self, priority: int, band: Band, below: Sequence[Alike], stay: float
    ) -> Mapping[str, float]:
        """Of the tasks of these kinds so many stay, by tenant."""
        if self._shares is None or stay >= sum(band.kinds[kind] for kind in below):
            return dict.fromkeys(band.flows, stay)
        waiting: dict[str, Counter[str]] = {}
        for tenant, flow in band.flows.items():
            for kind in below:
                if kind in flow.groups:
                    models = waiting.setdefault(tenant, Counter())
                    models[kind[0]] += len(flow.groups[kind])
        return self._shares.turns(priority, waiting, int(stay))

    def _first(
        self, priority: int, band: Band, turn: _Turn, kinds: Mapping[Alike, bool]
    ) -> str | None:
        """The first task of these kinds that does not stay; of the tenant that has got least."""
        rounds: Iterable[Collection[str]] = [band.flows.keys()]
        if self._shares is not None:
            rounds = self._shares.rounds(priority)
        for tenants in rounds:
            firsts = [turn.first(band.flows[tenant], kinds) for tenant in tenants]
            if any(firsts):
                return min(filter(None, firsts))
        return None

    def _out_of_order(self, place: Place, backend: BackendSlots, now: float) -> bool:
        """Whether those of lower tiers that have its model have failed for too long."""
        for one in self._fleet.able(place.model, now):
            if one.down is None:
                since = one.failing_since(place)
                if since is None or now - since < backend.overflow_after:
                    return False
        return True


class _Turn:
    """Which tasks of one priority stay. `line` has all in order. Of those of the kinds `below` the
    first ones stay: `stays` has how many, by tenant. So does what is before the next of them.
    """

    def __init__(
        self, line: Sequence[str], below: Sequence[Alike], stays: Mapping[str, float]
    ) -> None:
        self._line = line
        self._below = below
        self._stays = stays

    def first(self, flow: Flow, kinds: Mapping[Alike, bool]) -> str | None:
        """The first task of this tenant that does not stay, of these kinds; None if there is none.
        Of a kind that is true none stays.
        """
        start = self._start(flow)
        found: list[str] = []
        for kind, goes in kinds.items():
            if kind in flow.groups and (goes or start is not None):
                found += islice(flow.groups[kind].irange(None if goes else start), 1)
        return min(found, default=None)

    def _start(self, flow: Flow) -> str | None:
        """The first task of those below that does not stay; None if all do."""
        groups = [flow.groups[kind] for kind in self._below if kind in flow.groups]
        tasks = sum(map(len, groups))
        stay = self._stays.get(flow.tenant, 0)
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

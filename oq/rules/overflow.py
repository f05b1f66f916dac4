"""Which waiting task a backend of a higher tier takes from those of lower tiers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from math import inf
from operator import attrgetter

from oq.rules.bands import Band, Bands
from oq.rules.by_route import Alike
from oq.rules.fleet import Fleet
from oq.rules.place import Place
from oq.rules.placing import place_on, room_on
from oq.rules.ready import ReadyQueue
from oq.rules.reserve import Quiet, Reserve
from oq.rules.shares import Shares
from oq.rules.slots import BackendSlots
from oq.rules.stays import Stays
from oq.rules.waits import Waits

LOOKS = 256
"""Of very many kinds so many tasks are looked at, from the first one that does not stay on."""


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
        self._waits: dict[tuple[str, int], Waits] = {}  # by backend and priority
        self._found: dict[tuple[str, int], Stays] = {}

    def next(
        self, ready: ReadyQueue, bands: Bands, backends: Sequence[BackendSlots], now: float
    ) -> tuple[str, BackendSlots] | None:
        """The first task that goes to one of these backends, those of the lowest tier being asked
        first. They are open, and no task waits for them. The tasks before it stay: their turn comes
        sooner than that.
        """
        for backend in sorted(backends, key=attrgetter("tier", "overflow_after")):
            if not any(one.tier < backend.tier for one in self._fleet):
                continue
            stay = self._stay(backend, now)
            for priority, band in bands:
                allowed = self._quiet is None or self._quiet.allows(priority, now)
                task_id: str | None = None
                if band.has_many_kinds():
                    here = len(band.line)
                    if allowed:
                        task_id = self._first_of_some(ready, bands, priority, backend, stay, now)
                else:
                    below = [kind for kind in band.kinds if self._waits_below(kind, backend, now)]
                    here = sum(band.kinds[kind] for kind in below)
                    if allowed:
                        task_id = self._first(priority, band, below, backend, stay, now)
                if task_id is not None:
                    place = ready.place_of(task_id)
                    assert place is not None
                    return task_id, self._place(place, backend, backends, now)
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

    def _may(self, priority: int, kind: Alike, backend: BackendSlots, now: float) -> bool | None:
        """Whether a task of this kind goes up whatever its place, for lower tiers have been out of
        order for too long; None if it cannot start on the backend.
        """
        place = Place(priority, kind[0], load=kind[1])
        if backend not in self._fleet.above(place.model):
            return None
        if not self._fleet.able(place.model, now):
            return None  # it is being asked who has it
        if not room_on(backend, place, now, self._reserve).starts:
            return None
        return self._out_of_order(place, backend, now)

    def _first(
        self,
        priority: int,
        band: Band,
        below: Collection[Alike],
        backend: BackendSlots,
        stay: float,
        now: float,
    ) -> str | None:
        """The first task of one priority that does not stay; of the tenant that has got least. Of
        those of the kinds `below` so many stay.
        """
        may = ((kind, self._may(priority, kind, backend, now)) for kind in band.kinds)
        kinds = {kind: always for kind, always in may if always is not None}
        if not kinds:
            return None
        some = self._stays(priority, band, below, backend, stay, now)
        stays = self._found.get((backend.name, priority))
        if stays is None:
            stays = self._found[backend.name, priority] = Stays()
        stays.prepare(band, below, kinds, some)
        for tenants in self._rounds(priority, band):
            firsts = [first for one in tenants if (first := stays.first(band.flows[one]))]
            if firsts:
                return min(firsts)
        return None

    def _stays(
        self,
        priority: int,
        band: Band,
        below: Collection[Alike],
        backend: BackendSlots,
        stay: float,
        now: float,
    ) -> Mapping[str, float]:
        """Of the tasks of these kinds so many stay, by tenant; inf: all."""
        if self._shares is None or len(band.flows) == 1:
            return dict.fromkeys(band.flows, stay)
        if stay >= sum(band.kinds[kind] for kind in below):
            return dict.fromkeys(band.flows, inf)
        waits = self._waits.get((backend.name, priority))
        if waits is None:
            waits = self._waits[backend.name, priority] = Waits(self._shares.expected)
        waiting = waits.of(band, below, now)
        turns = self._shares.turns(priority, waiting, int(stay))
        return {one: inf if turns[one] >= waiting[one].tasks else turns[one] for one in turns}

    def _first_of_some(
        self,
        ready: ReadyQueue,
        bands: Bands,
        priority: int,
        backend: BackendSlots,
        stay: float,
        now: float,
    ) -> str | None:
        """The same of very many kinds. Each task counts as if it waited for lower tiers, whosever
        it is, and some of those that do not stay are looked at.
        """
        band = bands[priority]
        line: Sequence[str] = band.line
        kinds: dict[Alike, bool | None] = {}
        firsts: dict[str, str] = {}
        for start, must in ((0, True), (int(min(stay, len(line))), False)):
            for task_id in line[start : start + LOOKS]:
                place = ready.place_of(task_id)
                assert place is not None
                kind = place.model, place.load
                if kind not in kinds:
                    kinds[kind] = self._may(priority, kind, backend, now)
                    if kinds[kind] is False and not self._waits_below(kind, backend, now):
                        kinds[kind] = None
                if kinds[kind] or (kinds[kind] is False and not must):
                    tenant = bands.tenant_of(task_id, place)
                    firsts[tenant] = min(firsts.get(tenant, task_id), task_id)
        for tenants in self._rounds(priority, band) if firsts else ():
            found = [firsts[one] for one in tenants if one in firsts]
            if found:
                return min(found)
        return None

    def _rounds(self, priority: int, band: Band) -> Iterable[Collection[str]]:
        """The tenants; equals together, the least served first."""
        return [band.flows] if self._shares is None else self._shares.rounds(priority)

    def _place(
        self, place: Place, backend: BackendSlots, backends: Sequence[BackendSlots], now: float
    ) -> BackendSlots:
        """Where a task starts that goes up to this backend: on the best one of its tier that takes
        tasks that wait no longer.
        """
        above = self._fleet.above(place.model)
        equals = [
            one
            for one in above
            if one in backends
            and one.tier == backend.tier
            and one.overflow_after <= backend.overflow_after
        ]
        last = self._fleet.conversations.last(place) if place.conversation else None
        best, room = place_on(equals, place, now, reserve=self._reserve, last=last)
        return best if best is not None and room.starts else backend

    def _out_of_order(self, place: Place, backend: BackendSlots, now: float) -> bool:
        """Whether those of lower tiers that have its model have failed for too long."""
        for one in self._fleet.able(place.model, now):
            if one.down is None:
                since = one.failing_since(place)
                if since is None or now - since < backend.overflow_after:
                    return False
        return True

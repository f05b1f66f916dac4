"""Which waiting task a backend of a higher tier takes from those of lower tiers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf

from oq.rules.bands import Band, Bands
from oq.rules.fleet import Fleet
from oq.rules.place import Place
from oq.rules.placing import room_on
from oq.rules.ready import ReadyQueue
from oq.rules.reserve import Quiet, Reserve
from oq.rules.slots import BackendSlots


def _unknown(backends: Sequence[BackendSlots]) -> float | None:
    return None


class Overflow:
    """A task goes up if it would wait for longer than `overflow_after`: by its place in line, or
    because those of lower tiers that have its model have been out of order for so long. The other
    rules hold for it as for each task.
    """

    def __init__(self, fleet: Fleet, reserve: Reserve | None, quiet: Quiet | None) -> None:
        self._fleet = fleet
        self._reserve = reserve
        self._quiet = quiet
        self.seconds_each: Callable[[Sequence[BackendSlots]], float | None] = _unknown
        """As in `Policy`."""

    def next(
        self, ready: ReadyQueue, bands: Bands, backends: Sequence[BackendSlots], now: float
    ) -> tuple[str, BackendSlots] | None:
        """The first task that goes to one of these backends. They are open, and no task waits for
        them. The tasks before it stay: their turn comes sooner than that.
        """
        for backend in backends:
            if not any(one.tier < backend.tier for one in self._fleet):
                continue
            stay = self._stay(backend)
            behind = None if stay is None else next(ready.from_place(stay), None)
            level = None if behind is None else ready.place_of(behind)
            for priority, band in bands:
                if self._quiet is not None and not self._quiet.allows(priority, now):
                    continue
                start = None
                if behind is not None and level is not None and priority <= level.priority:
                    start = behind if priority == level.priority else ""
                task_id = self._first(priority, band, start, backend, now)
                if task_id is not None:
                    return task_id, backend
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

    def _first(
        self, priority: int, band: Band, start: str | None, backend: BackendSlots, now: float
    ) -> str | None:
        """The first task of this priority that goes to the backend. Those from the id `start` on
        would wait for too long; None: none would.
        """
        best: str | None = None
        for kind in band.kinds:
            place = Place(priority, kind[0], load=kind[1])
            if backend not in self._fleet.above(place.model):
                continue
            begin = "" if self._out_of_order(place, backend, now) else start
            if begin is None or not room_on(backend, place, now, self._reserve).starts:
                continue
            task_id = band.first_of(kind, begin)
            if task_id is not None and (best is None or task_id < best):
                best = task_id
        return best

    def _stay(self, backend: BackendSlots) -> int | None:
        """How many tasks in line do not wait too long for this one to take them; None: all."""
        lower = [one for one in self._fleet if one.tier < backend.tier and one.down is None]
        each = self.seconds_each(lower) if lower else None
        if not each:
            return None
        return int(backend.overflow_after / each)

    def _out_of_order(self, place: Place, backend: BackendSlots, now: float) -> bool:
        """Whether those of lower tiers that have its model have failed for too long."""
        for one in self._fleet.able(place.model, now):
            if one.down is None:
                since = one.failing_since(place)
                if since is None or now - since < backend.overflow_after:
                    return False
        return True

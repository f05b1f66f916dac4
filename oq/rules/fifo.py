"""The policy ``fifo``: strictly by priority, and inside one in the order of submission."""

from __future__ import annotations

from collections.abc import Sequence

from oq.rules.bands import Band, Bands, Flow
from oq.rules.fleet import Fleet
from oq.rules.in_order import InOrder
from oq.rules.line import DEFAULT, Line, Search
from oq.rules.policy import Choice
from oq.rules.room import Room
from oq.rules.slots import BackendSlots
from oq.words.config import FairnessConfig, SchedulerConfig


class Fifo(Line):
    """See `oq.rules.policy.Policy`.

    A task that cannot start now keeps its backend: no task behind it starts there before. On the
    other backends, if there are any, those behind it may start. One whose backends are all down
    keeps none, nor does one whose model has a limit that is reached.
    """

    def __init__(
        self,
        fleet: Fleet,
        settings: SchedulerConfig,
        fairness: FairnessConfig = DEFAULT,
    ) -> None:
        # A task that waits for its model's limit only is passed by those behind it.
        limited = any(backend.model_limits is not None for backend in fleet)
        super().__init__(fleet, settings, fairness, sorted_always=fleet.several or limited)
        self._needs_bands = self._bands is not None

    def next(self, now: float) -> Choice | None:
        if not self._ready:
            return None
        if not self._needs_bands:
            backend = self._fleet.backends[0]
            # Mostly the task is not looked at.
            if self._bands is None and backend.takes_any and not self._fleet.paused:
                return Choice(*self._ready.pop(), backend.name)
            self._note_parted(backend)
            if self._bands is None:
                return self._first_on(backend, now)
        return super().next(now)

    def look(self, now: float) -> None:
        if not self._needs_bands:
            backend = self._fleet.backends[0]
            if self._bands is None and backend.outages.quiet and not self._fleet.paused:
                return
            if self._ready:
                self._note_parted(backend)
        super().look(now)

    def _first_on(self, backend: BackendSlots, now: float) -> Choice | None:
        """The first task, if it can start there now."""
        if not backend.is_open(now):
            return None
        task_id, place = self._ready.first()
        return self._chosen(task_id, backend) if backend.room(place, now).starts else None

    def _note_parted(self, backend: BackendSlots) -> None:
        """While the only backend gets tasks of some models and not of others, those behind may
        start. To find them costs a part of every task's time, so it is done then only.
        """
        if not (backend.outages.parted or self._fleet.paused):
            self._bands = None
        elif self._bands is None:
            self._bands = Bands(self._ready)

    def _of_equals(self, band: Band, flows: Sequence[Flow], search: Search) -> Choice | None:
        first = min(flow.first for flow in flows)
        backend, room = self._place(first, search.now, search.kept)
        if backend is not None and room.starts:
            return self._chosen(first, backend)
        if backend is not None and search.left == [backend]:
            self._keep(backend, first, search)
            return None
        return self._behind_first(band, flows, search)

    def _behind_first(self, band: Band, flows: Sequence[Flow], search: Search) -> Choice | None:
        """The next that may start, where the first may not. One that waits for a full backend keeps
        it, too: where those behind wait depends on that.
        """
        unkept = [backend for backend in self._fleet if backend not in search.kept]
        if len(band.kinds) == 1 and self._keep_all(flows, unkept, search):
            return None
        line = InOrder(band, flows, self._fleet, search.now, unkept)
        for task_id, kind in line:
            backend, room = self._place(task_id, search.now, search.kept)
            if backend is None:
                line.drop_model(kind[0])  # none starts, whatever its options
            elif room.starts:
                return self._chosen(task_id, backend)
            else:
                self._keep(backend, task_id, search)
                unkept.remove(backend)
                if not search.left:
                    return None
        return None

    def _keep_all(
        self, flows: Sequence[Flow], unkept: Sequence[BackendSlots], search: Search
    ) -> bool:
        """Of tasks that are all alike none starts if the first does not. If they are so many, each
        backend that takes some is kept by one of them; whether it is so.
        """
        if sum(len(ids) for flow in flows for ids in flow.groups.values()) < len(unkept):
            return False
        place = self._ready.place_of(flows[0].first)
        assert place is not None
        asked, now = (place.model, place.load), search.now
        kept = {
            one
            for one in self._fleet.able(place.model, now)
            if one.known.taken.get(asked, now) > now or self.room(one, place, now) > Room.LIMITED
        }
        search.kept += [one for one in unkept if one in kept]
        search.left = [one for one in search.left if one not in kept]
        return True

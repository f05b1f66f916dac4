"""The policy ``affinity``: as ``fifo``, but inside a priority tasks whose model is in memory go
first, so that a backend loads models less often. No task is passed over for longer than
`scheduler.max_bypass`: then nothing else starts on its backend until it has.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from heapq import merge

from oq.rules.bands import Band, Flow
from oq.rules.by_route import Alike
from oq.rules.bypass import Bypass
from oq.rules.fleet import Fleet, takes_some
from oq.rules.in_memory import Representatives
from oq.rules.in_order import InOrder
from oq.rules.line import DEFAULT, Line, Search
from oq.rules.place import Place
from oq.rules.policy import Choice
from oq.rules.room import Room
from oq.rules.slots import BackendSlots
from oq.words.config import FairnessConfig, SchedulerConfig


class Affinity(Line):
    """See `oq.rules.policy.Policy`. Its line is that of ``fifo``; what starts is not."""

    def __init__(
        self,
        fleet: Fleet,
        settings: SchedulerConfig,
        fairness: FairnessConfig = DEFAULT,
    ) -> None:
        super().__init__(fleet, settings, fairness, sorted_always=True)
        self._max_bypass = settings.max_bypass
        self._limited = any(backend.model_limits is not None for backend in fleet)
        self._bypass = Bypass()

    def _of_equals(self, band: Band, flows: Sequence[Flow], search: Search) -> Choice | None:
        oldest, since = self._oldest(band, flows, search.now)
        choice = self._choose(band, flows, search, oldest, since)
        if self._limited and choice is not None and choice.task_id != oldest:
            self._bypass.passed(oldest, choice.place.model)
        return choice

    def _choose(
        self, band: Band, flows: Sequence[Flow], search: Search, oldest: str, since: float
    ) -> Choice | None:
        overdue = search.now - since >= self._max_bypass
        if overdue:
            choice = self._start(oldest, search)
            if choice is not None or not search.left:
                return choice
        rooms: dict[Alike, tuple[BackendSlots | None, Room]] = {}
        many = band.has_many_kinds()
        known = not many and not any(backend.starts_all for backend in self._fleet)
        if known:
            choice = self._warm_one(band, flows, rooms, search)
            if choice is not None:
                return choice
        may_load = not known or any(backend.may_load for backend in search.left)
        load: tuple[str, BackendSlots] | None = None
        waits: dict[str, tuple[str, BackendSlots]] = {}  # for each by its name the first task
        line = self._few_of(band, flows, rooms, search) if many else _first_of_each(band, flows)
        for task_id, kind in line:
            if overdue and task_id == oldest:
                continue  # it waits for one already: for two in turns it would wait for ever
            if kind not in rooms:
                rooms[kind] = self._place(task_id, search.now, search.kept)
            backend, room = rooms[kind]
            if backend is None:
                continue
            if room is Room.WARM:
                return self._chosen(task_id, backend)
            if not room.starts:
                waits.setdefault(backend.name, (task_id, backend))
            elif load is None:
                load = task_id, backend
            if known and load is not None:
                break
            if not may_load and all(one.name in waits for one in search.left):
                break
        if load is not None:
            return self._chosen(*load)
        for task_id, backend in waits.values():
            self._keep(backend, task_id, search)
            if not search.left:
                break
        return None

    def _few_of(
        self,
        band: Band,
        flows: Sequence[Flow],
        rooms: Mapping[Alike, tuple[BackendSlots | None, Room]],
        search: Search,
    ) -> Iterator[tuple[str, Alike]]:
        """Of many kinds the oldest tasks of those that stand for all."""
        unkept = [backend for backend in self._fleet if backend not in search.kept]
        few = Representatives(band, flows, self._fleet, search.now, unkept)
        return few.look(rooms, lambda task_id: self._is_singled_out(task_id, search.now))

    def _is_singled_out(self, task_id: str, now: float) -> bool:
        """Whether a backend that takes others does not take tasks of the model of this one."""
        place = self._ready.place_of(task_id)
        assert place is not None
        able = [one for one in self._fleet.able(place.model, now) if takes_some(one, now)]
        return any(self.room(one, place, now) <= Room.LIMITED for one in able)

    def look(self, now: float) -> None:
        super().look(now)
        self._note_away(now)

    def _note_full(self, band: Band, flows: Sequence[Flow], now: float) -> None:
        if self._bypass or self._in_trouble():
            self._oldest(band, flows, now)
            self._note_away(now)

    def _note_away(self, now: float) -> None:
        """Some that could run may be unable to by now."""
        for task_id, model in self._bypass.here():
            if not self._may_run(task_id, now):
                self._bypass.cannot(task_id, model, now, now)

    def _in_trouble(self) -> bool:
        """Whether there may be tasks that cannot run, though others can."""
        fleet = self._fleet
        trouble = self._limited or fleet.paused or any(backend.in_trouble for backend in fleet)
        return bool(trouble)

    def _oldest(self, band: Band, flows: Sequence[Flow], now: float) -> tuple[str, float]:
        """The oldest of the tasks that may run somewhere, and since when it is passed over. If
        there is none, the oldest of all, which does not start.
        """
        bypass = self._bypass
        if self._in_trouble():
            line = InOrder(band, flows, self._fleet, now)
            for task_id, kind in line:
                since = now if task_id in bypass else _first_since(flows, task_id, now)
                if self._may_run(task_id, now):
                    return task_id, bypass.can(task_id, kind[0], since, now)
                bypass.cannot(task_id, kind[0], since, now)
                line.drop_model(kind[0])
            return min(flows, key=_first).first, now
        oldest = min(flows, key=_first)
        return oldest.first, bypass.known(oldest.first, oldest.since, now)

    def _may_run(self, task_id: str, now: float) -> bool:
        """Whether this task waits for a slot or a load, and not for the limit of its model only."""
        place = self._ready.place_of(task_id)
        assert place is not None
        able = self._fleet.able(place.model, now)
        return any(self.room(backend, place, now) > Room.LIMITED for backend in able)

    def is_passed(self, backend: BackendSlots, place: Place, now: float) -> bool:
        bands = self._bands
        if bands is None or place.priority not in bands:
            return False
        band = bands[place.priority]
        oldest = min(band.flows.values(), key=_first)
        if now - self._bypass.since(oldest.first, oldest.since, now) >= self._max_bypass:
            return False
        others = (Place(0, kind[0], load=kind[1]) for kind in self._in_memory(band, now))
        return any(
            backend in self._fleet.able(one.model, now) and backend.has_in_memory(one)
            for one in others
        )

    def _leave(self, task_id: str) -> tuple[Place, str] | None:
        self._bypass.forget(task_id)
        return super()._leave(task_id)

    def _start(self, task_id: str, search: Search) -> Choice | None:
        """Start it; if it cannot start yet, nothing else does where it waits."""
        backend, room = self._place(task_id, search.now, search.kept)
        if backend is None:
            return None
        if room.starts:
            return self._chosen(task_id, backend)
        self._keep(backend, task_id, search)
        return None

    def _warm_one(
        self,
        band: Band,
        flows: Sequence[Flow],
        rooms: dict[Alike, tuple[BackendSlots | None, Room]],
        search: Search,
    ) -> Choice | None:
        """The oldest task that can start and whose model is in memory. What was found out about
        others is put to `rooms`.
        """
        best: tuple[str, Alike] | None = None
        among = band.among(flows)
        for kind in self._in_memory(band, search.now):
            first = band.first_of(kind, among)
            if first is None or (best is not None and best[0] < first):
                continue
            rooms[kind] = self._place(first, search.now, search.kept)
            if rooms[kind][1] is Room.WARM:
                best = first, kind
        if best is None:
            return None
        backend = rooms[best[1]][0]
        assert backend is not None
        return self._chosen(best[0], backend)

    def _in_memory(self, band: Band, now: float) -> list[Alike]:
        """The kinds of task whose model a backend has in memory. Of many kinds it is a few."""
        changes = band.news, self._fleet.changes, *[one.changes for one in self._fleet]
        if band.in_memory is None or band.in_memory[0] != changes:
            kinds = [kind for kind in band.kinds if self._has(kind, now)]
            # To look at them may be news itself: so it is asked for the number anew.
            changes = band.news, self._fleet.changes, *[one.changes for one in self._fleet]
            band.in_memory = changes, kinds
        return band.in_memory[1]

    def _has(self, kind: Alike, now: float) -> bool:
        place = Place(0, kind[0], load=kind[1])
        return any(one.has_in_memory(place) for one in self._fleet.able(place.model, now))


def _first(flow: Flow) -> str:
    return flow.first


def _first_since(flows: Sequence[Flow], task_id: str, now: float) -> float:
    """Since when a task is the first of its tenant; now, if it is not."""
    return next((flow.since for flow in flows if flow.first == task_id), now)


def _first_of_each(band: Band, flows: Sequence[Flow]) -> Iterator[tuple[str, Alike]]:
    """The oldest task of each kind that these tenants have, in order."""
    if len(band.kinds) < len(flows):  # then it is less to look at
        yield from _firsts_by_kind(band, flows)
        return
    seen: set[Alike] = set()
    for task_id, kind in merge(*[flow.heads() for flow in flows]):
        if kind not in seen:
            seen.add(kind)
            yield task_id, kind
            if len(seen) == len(band.kinds):
                return


def _firsts_by_kind(band: Band, flows: Sequence[Flow]) -> list[tuple[str, Alike]]:
    """The same, found kind by kind."""
    among = band.among(flows)
    firsts = ((band.first_of(kind, among), kind) for kind in band.kinds)
    return sorted((first, kind) for first, kind in firsts if first is not None)

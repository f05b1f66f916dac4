"""What the policies have in common: they keep the tasks that are ready in one line, and some rules
come before the order that each of them has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from math import inf

from oq.rules.bands import Band, Bands, Flow
from oq.rules.fleet import Fleet
from oq.rules.in_order import InOrder
from oq.rules.overflow import Overflow
from oq.rules.place import Place
from oq.rules.placing import place_on, room_on
from oq.rules.policy import Choice
from oq.rules.ready import ReadyQueue
from oq.rules.reserve import IDLE, Quiet, Reserve
from oq.rules.room import Room
from oq.rules.shares import Shares
from oq.rules.slots import BackendSlots
from oq.rules.tenant_turns import Seconds, TenantTurns
from oq.words.config import FairnessConfig, SchedulerConfig

DEFAULT = FairnessConfig()


class Search:
    """The search for the next task. `left` are the backends that may start one, `kept` those that
    a task waits for, so that none behind it starts there.
    """

    __slots__ = ("kept", "left", "now")

    def __init__(self, left: list[BackendSlots], now: float) -> None:
        self.left = left
        self.now = now
        self.kept: list[BackendSlots] = []


class Line:
    """See `oq.rules.policy.Policy`, whose verbs these are. Strictly by priority; idle tasks when it
    is quiet; no slot that is reserved for others; the tenant that has got least first. What comes
    then, among tenants that are equals, says `_of_equals`.

    `sorted_always`: it is always known which tasks are alike, and not only where a rule needs it.
    """

    def __init__(
        self,
        fleet: Fleet,
        settings: SchedulerConfig,
        fairness: FairnessConfig = DEFAULT,
        *,
        sorted_always: bool,
    ) -> None:
        self._fleet = fleet
        self._ready = ReadyQueue()
        self._reserve = Reserve(settings.reserve, fleet) if settings.reserve else None
        self._quiet = Quiet(settings.idle_after) if settings.idle_after else None
        self._shares = Shares(fairness) if fairness.enabled else None
        self._turns = None if self._shares is None else TenantTurns(self._shares)
        self._has_rules = bool(self._reserve or self._quiet or self._shares)
        self.counts_tokens = fairness.enabled
        self._overflow = Overflow(fleet, self._reserve, self._quiet, self._shares)
        self._waits_for: dict[str, BackendSlots] = {}  # tasks that others could not pass there
        self._sort = partial(
            Bands,
            by_tenant=fairness.enabled,
            most=fairness.max_tenants,
            named=frozenset(one.tenant for one in fairness.weights),
        )
        self._bands = self._sort(self._ready) if sorted_always or self._has_rules else None

    @property
    def seconds_each(self) -> Callable[[Sequence[BackendSlots], float], float | None]:
        return self._overflow.seconds_each

    @seconds_each.setter
    def seconds_each(self, say: Callable[[Sequence[BackendSlots], float], float | None]) -> None:
        self._overflow.seconds_each = say

    def load(self, tasks: Iterable[tuple[str, Place]]) -> None:
        self._ready = ReadyQueue(dict(tasks))
        if self._bands is not None:
            self._bands = self._sort(self._ready)
            if self._shares is not None:
                self._shares.load((priority, band.flows) for priority, band in self._bands)

    def add(self, task_id: str, place: Place) -> None:
        self._ready.push(task_id, place)
        if self._bands is not None:
            self._enter(self._bands, task_id, place)

    def remove(self, task_id: str) -> bool:
        return self._leave(task_id) is not None

    def ended(
        self, task_id: str, place: Place, backend: BackendSlots, now: float, cost: int | None
    ) -> None:
        if not self._has_rules:
            return
        if self._reserve is not None:
            self._reserve.ended(place, backend)
        if self._quiet is not None:
            self._quiet.ended(place, now)
        if self._shares is not None:
            self._shares.ended(task_id, cost)

    def next(self, now: float) -> Choice | None:
        bands = self._bands
        if bands is None or not self._ready:
            return None
        first, place = self._ready.first()
        # Mostly all are alike: then it makes no difference in which order kinds and tenants come.
        if bands[place.priority].alike is not None and (
            self._quiet is None or self._quiet.allows(place.priority, now)
        ):
            backend, room = self._place_at(first, place, now)
            if backend is not None and room.starts:
                return self._chosen(first, backend)
        bands.settle(now)
        shut = all(backend.is_shut(now) for backend in self._fleet)
        left = [] if shut else [backend for backend in self._fleet if backend.is_open(now)]
        search = Search(left, now)
        choice = self._in_order(bands, search)
        if choice is None and self._fleet.tiered:
            up = self._overflow.next(self._ready, bands, search.left, now)
            return None if up is None else self._chosen(*up)
        return choice

    def _in_order(self, bands: Bands, search: Search) -> Choice | None:
        """The next task by priority, tenant and kind, on a backend of its tier."""
        for priority, band in bands:
            if self._quiet is not None and not self._quiet.allows(priority, search.now):
                continue
            if self._reserve is not None and self._reserve.closes(search.left, priority):
                return None
            for flows in self._rounds(priority, band):
                if not search.left:
                    self._note_full(band, flows, search.now)
                    return None
                choice = self._of_equals(band, flows, search)
                if choice is not None:
                    return choice
        return None

    def _note_full(self, band: Band, flows: Sequence[Flow], now: float) -> None:
        """No backend is left that may start a task: these tenants, and those behind, are not looked
        at.
        """

    def look(self, now: float) -> None:
        if self._bands is not None:
            self._bands.settle(now)

    def due(self, now: float) -> float:
        if not (self._quiet or self._fleet.tiered) or not self._ready:
            return inf
        due = self._overflow.due(now) if self._fleet.tiered else inf
        if self._quiet is None or min(self._ready.by_priority()) > IDLE:
            return due
        quiet = self._quiet.due()
        return min(due, quiet) if quiet > now else due

    def holds_back(self, place: Place, now: float) -> str | None:
        if self._quiet is not None and not self._quiet.allows(place.priority, now):
            return "it is of priority 0, and other tasks have run lately (scheduler.idle_after)"
        able = [one for one in self._fleet.able(place.model, now) if one.room(place, now).starts]
        if self._reserve is None or not able:
            return None
        denied = all(not self.room(backend, place, now).starts for backend in able)
        return "the free slots are kept for urgent tasks (scheduler.reserve)" if denied else None

    def is_passed(self, backend: BackendSlots, place: Place, now: float) -> bool:
        return False

    def first(self) -> tuple[str, Place] | None:
        return self._ready.first() if self._ready else None

    def place_of(self, task_id: str) -> Place | None:
        return self._ready.place_of(task_id)

    def __len__(self) -> int:
        return len(self._ready)

    def __contains__(self, task_id: str) -> bool:
        return task_id in self._ready

    def position(self, task_id: str) -> int | None:
        return self._ready.position(task_id)

    def in_line(self, behind: tuple[int, str] | None = None) -> Iterator[str]:
        return iter(self._ready) if behind is None else self._ready.beyond(*behind)

    def in_line_if(
        self,
        wanted: Callable[[Place], bool],
        now: float,
        least: int = 0,
        on: Sequence[BackendSlots] | None = None,
    ) -> Iterator[tuple[str, Place]]:
        self.look(now)
        if self._bands is None:
            for task_id in self._ready:
                place = self._ready.place_of(task_id)
                if place is None or place.priority < least or not wanted(place):
                    return
                yield task_id, place
            return
        for priority, band in self._bands:
            if priority < least:
                return
            line = InOrder(band, band.flows.values(), self._fleet, now, on)
            for task_id, kind in line:
                place = Place(priority, kind[0], load=kind[1])
                if wanted(place):
                    yield task_id, place
                elif on is None:
                    line.drop(kind)
                else:
                    line.drop_model(kind[0])

    def room(self, backend: BackendSlots, place: Place, now: float) -> Room:
        return room_on(backend, place, now, self._reserve)

    def share_before(
        self, place: Place, task_id: str | None, older: int, seconds: Seconds, now: float
    ) -> float | None:
        bands = self._bands
        if self._turns is None or bands is None or place.priority not in bands:
            return None
        tenant = bands.next_tenant_of(place) if task_id is None else bands.tenant_of(task_id, place)
        band = bands[place.priority]
        return self._turns.before(band, place, tenant, task_id, older, seconds, now)

    def oldest(self) -> str | None:
        return self._ready.oldest()

    def by_priority(self) -> dict[int, int]:
        return self._ready.by_priority()

    def _of_equals(self, band: Band, flows: Sequence[Flow], search: Search) -> Choice | None:
        """The next of the tasks of these tenants, which all have this priority. If none may start,
        the backends that they wait for are kept for them.
        """
        raise NotImplementedError

    def _place(
        self, task_id: str, now: float, kept: Sequence[BackendSlots] = ()
    ) -> tuple[BackendSlots | None, Room]:
        """The backend for a task, and what that can do with it now; see `place_on`."""
        place = self._ready.place_of(task_id)
        assert place is not None
        return self._place_at(task_id, place, now, kept)

    def _place_at(
        self, task_id: str, place: Place, now: float, kept: Sequence[BackendSlots] = ()
    ) -> tuple[BackendSlots | None, Room]:
        return place_on(
            self._fleet.able(place.model, now), place, now, kept,
            reserve=self._reserve, waited_for=self._waits_for.get(task_id),
            last=self._fleet.conversations.last(place) if place.conversation else None,
        )  # fmt: skip

    def _keep(self, backend: BackendSlots, task_id: str, search: Search) -> None:
        """The task waits for this backend: none behind it starts there."""
        self._waits_for[task_id] = backend
        if backend not in search.kept:
            search.kept.append(backend)
            if backend in search.left:
                search.left.remove(backend)

    def _chosen(self, task_id: str, backend: BackendSlots) -> Choice:
        left = self._leave(task_id)
        assert left is not None
        place, tenant = left
        if place.conversation:
            self._fleet.conversations.started(place, backend)
        if self._reserve is not None:
            self._reserve.started(place, backend)
        if self._quiet is not None:
            self._quiet.started(place)
        if self._shares is not None:
            self._shares.started(task_id, place.priority, tenant, place.model)
        return Choice(task_id, place, backend.name)

    def _rounds(self, priority: int, band: Band) -> Iterator[Sequence[Flow]]:
        """The tasks of this priority: of the tenants that are equals together, the least served
        first.
        """
        if self._shares is None:
            yield [*band.flows.values()]
            return
        for tenants in self._shares.rounds(priority):
            yield [band.flows[tenant] for tenant in tenants]

    def _enter(self, bands: Bands, task_id: str, place: Place) -> None:
        new = bands.add(task_id, place)
        if new and self._shares is not None:
            self._shares.joined(place.priority, bands.tenant_of(task_id, place))

    def _leave(self, task_id: str) -> tuple[Place, str] | None:
        """Take it out of the line: the place that it had, and the tenant that it counted for. None
        if it is not in.
        """
        place = self._ready.discard(task_id)
        self._waits_for.pop(task_id, None)
        if place is None:
            return None
        if self._bands is None:
            return place, ""
        tenant, last = self._bands.remove(task_id, place)
        if last and self._shares is not None:
            self._shares.left(place.priority, tenant)
        return place, tenant

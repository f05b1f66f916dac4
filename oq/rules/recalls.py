"""Which running tasks go back to their places, for a more urgent one waits for what they have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from math import inf

from msgspec import Struct

from oq.rules.by_route import Alike
from oq.rules.fleet import Fleet
from oq.rules.model_names import one_name
from oq.rules.place import Place
from oq.rules.policy import Policy
from oq.rules.room import Room
from oq.rules.slots import BackendSlots
from oq.words.messages import Recall
from oq.words.task import Priority

KINDS = 256
"""Kinds of tasks in line that are looked at, of those that nobody can go for."""
INSIDE = 0.5
"""Seconds that a critical task may wait inside a backend, which is tried with one more, before
others are preempted for it."""


Claims = Counter[tuple[str, str]]
"""By backend and model, how many critical tasks that wait are to start there."""


class Run(Struct, eq=False):
    """A running task's slot, the place that it had, and when it was sent. It was `recalled` in case
    that it waits inside its backend, or `aborted`; it `goes_for` a critical task, though it may be
    answered already; it `stays` if somebody has seen a part of its answer. `next` is its next
    place, if that is on disk before the slot is free: the two are told by different actors, in
    either order.
    """

    task_id: str
    backend: BackendSlots
    place: Place
    at: float
    recalled: bool = False
    goes_for: str | None = None
    aborted: bool = False
    stays: bool = False
    ended: bool = False
    next: Place | None = None


class Recalls:
    """`runs` are the tasks that hold a slot, in the order in which they began. With `preempts` a
    task may be preempted so many times while the queue is open; None: none is.
    """

    def __init__(
        self, fleet: Fleet, policy: Policy, runs: Mapping[str, Run], preempts: int | None
    ) -> None:
        self._fleet = fleet
        self._policy = policy
        self._runs = runs
        self._preempts = preempts
        self._times: dict[str, int] = {}  # how many times tasks were preempted
        self.critical = 0
        """How many critical tasks run."""

    @property
    def may_preempt(self) -> bool:
        """Whether tasks are preempted, and a critical one waits or runs. Mostly none does."""
        if self._preempts is None:
            return False
        first = self._policy.first()
        waits = first is not None and first[1].priority >= Priority.CRITICAL
        return waits or self.critical > 0

    def forget(self, task_id: str) -> None:
        """It has ended."""
        if self._times:
            self._times.pop(task_id, None)

    def find(self, now: float, *, plain: bool) -> list[Recall]:
        """Those that are to go back now. `plain`: no backend tries whether it serves more at once.

        They are the ones that may wait inside their backend, which was tried with one more, while
        a more urgent one waits for it; and those that are preempted.
        """
        found: list[Recall] = []
        if not plain and self._policy:
            found = [Recall(task_id) for task_id in self._inside(now)]
        if self.may_preempt:
            found += [Recall(task_id, answered=True) for task_id in self._preempted(now)]
        return found

    def _inside(self, now: float) -> list[str]:
        called: list[str] = []
        for backend in self._fleet:
            tried = _recallable(backend)
            if not tried or backend.down is not None or backend.held is not None:
                continue
            models = {one_name(self._runs[task_id].place.model) for task_id in tried}
            priority = self._first_priority(backend, models, now)
            for task_id in tried:
                run = self._runs[task_id]
                if run.place.priority < priority and not (run.recalled or run.aborted):
                    run.recalled = True
                    called.append(task_id)
        return called

    def _first_priority(self, backend: BackendSlots, models: set[str], now: float) -> float:
        """The priority of the first in line that may run there, if a task of these models ends."""

        def runs_there(place: Place) -> bool:
            if backend not in self._fleet.able(place.model, now):
                return False
            room = backend.room(place, now)
            return room > Room.LIMITED or (room is Room.LIMITED and one_name(place.model) in models)

        _, first = next(self._policy.in_line_if(runs_there, now, on=[backend]), (None, None))
        return -inf if first is None else first.priority

    # -- preemption

    def _preempted(self, now: float) -> list[str]:
        """Of the tasks that may be preempted, the one with the lowest priority that began last: the
        least work is lost. Where a model has to leave the memory, all that run there, or none.
        """
        inside = {key: run for key, run in self._inside_critical() if run.at + INSIDE <= now}
        going = [run for run in self._runs.values() if run.goes_for is not None]
        served = {run.goes_for for run in going}
        # Those whose task waits no longer, or cannot start: their slots are for the next.
        spare = [run for run in going if not self._is_wanted(run, inside, now)]
        found: list[str] = []
        for task_id, run in inside.items():
            if task_id not in served:
                found += self._go(self._beside(run), task_id)
        return found + self._for_waiting(served, spare, now)

    def _is_wanted(self, run: Run, inside: Collection[str], now: float) -> bool:
        """Whether the task that this one goes for still waits for a slot."""
        assert run.goes_for is not None
        place = self._policy.place_of(run.goes_for)
        if place is None or place.priority < Priority.CRITICAL:
            return run.goes_for in inside
        return bool(self._rooms(place, now))

    def _for_waiting(
        self, served: Collection[str | None], spare: list[Run], now: float
    ) -> list[str]:
        """The tasks that go for the critical ones in line, but for those that are served."""
        in_vain: set[Alike] = set()
        claims = self._claims(served)

        def may_start(place: Place) -> bool:
            return (place.model, place.load) not in in_vain

        found: list[str] = []
        for task_id, place in self._policy.in_line_if(may_start, now, Priority.CRITICAL):
            if task_id in served:
                continue
            left = len(spare)
            tasks = self._for(place, spare, now, claims)
            if not tasks and len(spare) == left:
                in_vain.add((place.model, place.load))
                if len(in_vain) >= KINDS:
                    break
            found += self._go(tasks, task_id)
        return found

    def _claims(self, served: Collection[str | None]) -> Claims:
        """What the critical tasks in line take of limits of their models, for which others go."""
        claims: Claims = Counter()
        for run in self._runs.values():
            place = None if run.goes_for is None else self._policy.place_of(run.goes_for)
            if place is not None and run.goes_for in served:
                _claim(claims, place, run)
        return claims

    def _go(self, tasks: list[str], critical: str) -> list[str]:
        for task_id in tasks:
            self._runs[task_id].goes_for = critical
            self._times[task_id] = self._times.get(task_id, 0) + 1
        return tasks

    def due(self, now: float) -> float:
        """When others are to go for one that waits inside a backend; inf if for none."""
        if self._preempts is None:
            return inf
        times = (run.at + INSIDE for _, run in self._inside_critical())
        return min((time for time in times if time > now), default=inf)

    def _inside_critical(self) -> list[tuple[str, Run]]:
        """The critical tasks that may wait inside their backend."""
        tried = [(one, self._runs[one]) for each in self._fleet for one in _recallable(each)]
        return [(one, run) for one, run in tried if run.place.priority >= Priority.CRITICAL]

    def _beside(self, critical: Run) -> list[str]:
        """The task that goes for one that waits inside its backend."""
        backend = critical.backend
        for task_id in self._may_go():
            run = self._runs[task_id]
            if run.backend is backend and backend.alike(run.place, critical.place):
                return [task_id]
        return []

    def _rooms(self, place: Place, now: float) -> dict[str, Room]:
        """What each backend can do with a task that has this place. None: it waits for no slot."""
        able = self._fleet.able(place.model, now)
        rooms = {one.name: self._policy.room(one, place, now) for one in able}
        return {name: room for name, room in rooms.items() if room is not Room.CLOSED}

    def _for(self, place: Place, spare: list[Run], now: float, claims: Claims) -> list[str]:
        """The tasks that go for one with this place. None if one of the `spare` ones, which go
        already, makes room for it: that one is taken out.
        """
        rooms = {
            name: Room.LIMITED if self._is_claimed(name, place, claims) else room
            for name, room in self._rooms(place, now).items()
        }
        full = len(self._runs) >= self._fleet.workers
        # Where it could start though there is a worker, one before it waits: else it had started.
        starts = full and any(room.starts for room in rooms.values())
        for run in spare:
            if starts or _makes_room(run, place, rooms):
                spare.remove(run)
                _claim(claims, place, run)
                return []
        may_go = self._may_go()
        for task_id in may_go:
            run = self._runs[task_id]
            if starts or _makes_room(run, place, rooms):  # if it starts, it lacks a worker only
                _claim(claims, place, run)
                return [task_id]
        for name, room in rooms.items():
            there = [one for one, run in self._runs.items() if run.backend.name == name]
            if room is Room.DRAINING and there and set(there) <= set(may_go):
                return there
        return []

    def _is_claimed(self, backend: str, place: Place, claims: Claims) -> bool:
        """Whether those before it take all that is left of the limit of its model there."""
        limits = self._fleet.by_name[backend].model_limits
        limit = None if limits is None else limits.of(place.model)
        if limits is None or limit is None:
            return False
        model = one_name(place.model)
        return limits.running.get(model, 0) + claims[backend, model] >= limit

    def _may_go(self) -> list[str]:
        """The tasks that may be preempted, the one that is to go first first."""
        tasks = [
            task_id
            for task_id, run in self._runs.items()
            if run.place.priority <= Priority.LOW
            and not (run.goes_for or run.aborted or run.stays)
            and self._times.get(task_id, 0) < (self._preempts or 0)
        ]
        tasks.reverse()  # the one that began last
        return sorted(tasks, key=lambda task_id: self._runs[task_id].place.priority)


def _claim(claims: Claims, place: Place, run: Run) -> None:
    """This one goes for a task with this place, which then takes one more of the limit of its
    model, unless it is of the same.
    """
    model = one_name(place.model)
    if one_name(run.place.model) != model:
        claims[run.backend.name, model] += 1


def _makes_room(run: Run, place: Place, rooms: Mapping[str, Room]) -> bool:
    """Whether a task with this place can start when this one has stopped."""
    backend = run.backend
    room = rooms.get(backend.name)
    if room is Room.LIMITED:
        return one_name(run.place.model) == one_name(place.model)
    if room is not Room.TAKEN:
        return False
    return backend.alike(run.place, place) or backend.running >= backend.limit


def _recallable(backend: BackendSlots) -> list[str]:
    """Tasks that may wait inside it, to see whether it serves one more at once."""
    if backend.residency is not None:
        groups = backend.residency.groups.values()
        return [task_id for group in groups for task_id in group.concurrency.recallable()]
    return [] if backend.concurrency is None else backend.concurrency.recallable()

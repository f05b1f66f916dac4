"""Which running tasks go back to their places, for a more urgent one waits for what they have."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from math import inf

from msgspec import Struct

from oq.rules.fleet import Fleet
from oq.rules.place import Place
from oq.rules.policy import Policy
from oq.rules.residency import Room
from oq.rules.slots import BackendSlots
from oq.words.messages import Recall
from oq.words.task import Priority

LOOKED_AT = 64
"""Tasks in line that are looked at."""
INSIDE = 0.5
"""Seconds that a critical task may wait inside a backend, which is tried with one more, before
others are preempted for it."""


class Run(Struct, eq=False):
    """A running task's slot, the place that it had, and when it was sent. It was `recalled` in case
    that it waits inside its backend, or `aborted`; it `goes_for` a critical task, though it may be
    answered already; it `stays` if somebody has seen a part of its answer. `next` is its next
    place, if that is on disk before the slot is free: the two are told by different actors, in
    either order.
    """

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
        if self._preempts is not None:
            found += [Recall(task_id, answered=True) for task_id in self._preempted(now)]
        return found

    def _inside(self, now: float) -> list[str]:
        called: list[str] = []
        for backend in self._fleet:
            tried = backend.recallable()
            if not tried or backend.down is not None or backend.held is not None:
                continue
            priority = self._first_priority(backend, now)
            for task_id in tried:
                run = self._runs[task_id]
                if run.place.priority < priority and not (run.recalled or run.aborted):
                    run.recalled = True
                    called.append(task_id)
        return called

    def _first_priority(self, backend: BackendSlots, now: float) -> float:
        """The priority of the first in line that may run there."""
        for task_id in islice(self._policy.in_line(), LOOKED_AT):
            place = self._policy.place_of(task_id)
            if place is not None and backend in self._fleet.able(place.model, now):
                return place.priority
        return -inf

    # -- preemption

    def _preempted(self, now: float) -> list[str]:
        """Of the tasks that may be preempted, the one with the lowest priority that began last: the
        least work is lost. Where a model has to leave the memory, all that run there, or none.
        """
        first = self._policy.first()
        waits = first is not None and first[1].priority >= Priority.CRITICAL
        if not (waits or self.critical):  # mostly
            return []
        inside = {key: run for key, run in self._inside_critical() if run.at + INSIDE <= now}
        waiting = self._critical()
        going = [run for run in self._runs.values() if run.goes_for is not None]
        served = {run.goes_for for run in going}
        # Those whose task waits no longer: their slots are for the next.
        spare = [run for run in going if run.goes_for not in inside and run.goes_for not in waiting]
        found: list[str] = []
        for task_id, run in inside.items():
            if task_id not in served:
                found += self._go(self._beside(run), task_id)
        in_vain: set[Place] = set()
        for task_id, place in waiting.items():
            if task_id in served or place in in_vain:
                continue
            left = len(spare)
            tasks = self._for(place, spare, now)
            if not tasks and len(spare) == left:
                in_vain.add(place)
            found += self._go(tasks, task_id)
        return found

    def _go(self, tasks: list[str], critical: str) -> list[str]:
        for task_id in tasks:
            self._runs[task_id].goes_for = critical
            self._times[task_id] = self._times.get(task_id, 0) + 1
        return tasks

    def due(self, now: float) -> float:
        """When others are to go for one that waits inside a backend; inf if for none."""
        if self._preempts is None or not self.critical:
            return inf
        times = (run.at + INSIDE for _, run in self._inside_critical())
        return min((time for time in times if time > now), default=inf)

    def _inside_critical(self) -> list[tuple[str, Run]]:
        """The critical tasks that may wait inside their backend."""
        tried = [(one, self._runs[one]) for each in self._fleet for one in each.recallable()]
        return [(one, run) for one, run in tried if run.place.priority >= Priority.CRITICAL]

    def _beside(self, critical: Run) -> list[str]:
        """The task that goes for one that waits inside its backend."""
        backend = critical.backend
        for task_id in self._may_go():
            run = self._runs[task_id]
            if run.backend is backend and backend.alike(run.place, critical.place):
                return [task_id]
        return []

    def _critical(self) -> dict[str, Place]:
        """The critical tasks that wait."""
        places: dict[str, Place] = {}
        for task_id in islice(self._policy.in_line(), LOOKED_AT):
            place = self._policy.place_of(task_id)
            if place is None or place.priority < Priority.CRITICAL:
                break
            places[task_id] = place
        return places

    def _for(self, place: Place, spare: list[Run], now: float) -> list[str]:
        """The tasks that go for one with this place. None if one of the `spare` ones, which go
        already, makes room for it: that one is taken out.
        """
        rooms = {one.name: one.room(place, now) for one in self._fleet.able(place.model, now)}
        full = len(self._runs) >= self._fleet.workers
        starts = any(room.starts for room in rooms.values())
        if starts and not full:
            return []
        for run in spare:
            if starts or _makes_room(run, place, rooms):
                spare.remove(run)
                return []
        may_go = self._may_go()
        if starts:  # it lacks a worker only
            return may_go[:1]
        for task_id in may_go:
            if _makes_room(self._runs[task_id], place, rooms):
                return [task_id]
        for name, room in rooms.items():
            there = [one for one, run in self._runs.items() if run.backend.name == name]
            if room is Room.DRAINING and there and set(there) <= set(may_go):
                return there
        return []

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


def _makes_room(run: Run, place: Place, rooms: Mapping[str, Room]) -> bool:
    """Whether a task with this place can start when this one has stopped."""
    backend = run.backend
    if rooms.get(backend.name) is not Room.TAKEN:
        return False
    return backend.alike(run.place, place) or backend.running >= backend.limit

"""What the limits of models mean for when a task starts: see `oq.rules.forecast`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from oq.rules.backlog import Lane
from oq.rules.fleet import Fleet
from oq.rules.model_names import both_names, one_name
from oq.rules.place import Place
from oq.rules.policy import Policy
from oq.rules.room import Room
from oq.rules.slots import BackendSlots

KINDS = 256
"""Kinds of tasks in line that are looked at."""


def passes_all(
    policy: Policy, fleet: Fleet, free: Sequence[BackendSlots], place: Place, now: float
) -> bool:
    """Whether a task with this place would start at once, for it has room on these backends and
    those before it in line wait for the limits of their models only.
    """
    if not any(backend.model_limits is not None for backend in free):
        return False
    looked_at = 0

    def waits_there(other: Place) -> bool:
        nonlocal looked_at
        looked_at += 1
        able = fleet.able(other.model, now)
        return looked_at > KINDS or any(
            one in able and policy.room(one, other, now) > Room.LIMITED for one in free
        )

    return next(policy.in_line_if(waits_there, now, place.priority, free), None) is None


def until_free(place: Place, before: float, backends: Sequence[BackendSlots], took: float) -> float:
    """Seconds until so many tasks of its model have started before it, of `took` seconds each, and
    there is a slot more. 0 if its model has no limit on one of these backends.
    """
    name, slots, running = one_name(place.model), 0, 0
    for backend in backends:
        limits = backend.model_limits
        limit = None if limits is None else limits.of(place.model)
        if limits is None or limit is None:
            return 0.0
        slots += min(limit, backend.limit)
        running += limits.running.get(name, 0)
    return max(0.0, before + 1 + running - slots) * took / slots


def passed(lane: Lane, backends: Sequence[BackendSlots], weight: Callable[[str], float]) -> float:
    """The part of the work of a lane, in seconds, that is passed: that of models that are at their
    limits on all these backends.
    """
    first = backends[0].model_limits
    if first is None:
        return 0.0
    work = 0.0
    for name in first.running:
        for model in both_names(name):
            count = lane.counts.get(model, 0)
            if count and _is_full(model, backends):
                work += count * weight(model)
    return min(work, lane.work)


def _is_full(model: str, backends: Sequence[BackendSlots]) -> bool:
    limits = [backend.model_limits for backend in backends]
    return all(one is not None and one.reached(model) for one in limits)

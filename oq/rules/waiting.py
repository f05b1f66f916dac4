"""What is said to people: why a task waits, and which model a backend changes for which."""

from __future__ import annotations

from collections.abc import Callable

from oq.rules.fleet import Fleet
from oq.rules.model_names import one_name
from oq.rules.place import Place
from oq.rules.policy import Policy
from oq.rules.room import Room
from oq.rules.slots import BackendSlots

SAID = 3
"""Backends of which it is said why a task waits. A listing says it in each row."""


Passed = Callable[[BackendSlots, Place, float], bool]
"""`Policy.is_passed`."""


def why_in_line(
    policy: Policy, fleet: Fleet, task_id: str, place: Place, now: float, *, workers_taken: int
) -> str | None:
    """Why this task, which is ready, does not run yet. `workers_taken`: so many, if all are."""
    if fleet.serves(place.model, now):  # else it would wait even if it were alone
        if workers_taken:
            return f"all {workers_taken} workers are taken (queue.max_workers)"
        if (why := policy.holds_back(place, now)) is not None:
            return why
    # With fairness the first in line is not always the next: each tenant has its turn.
    turns = policy.counts_tokens and len(policy) > 1
    ahead = turns or (policy.first() or (task_id,))[0] != task_id
    return why_waits(fleet, place, now, policy.is_passed, ahead=ahead)


def why_waits(fleet: Fleet, place: Place, now: float, passed: Passed, *, ahead: bool) -> str | None:
    """Why a task with this place does not run yet. `ahead`: others are before it in line."""
    if fleet.is_paused(place.model):
        return f"{one_name(place.model)} is paused"
    able = fleet.able(place.model, now)
    if not able:
        return f"the backends are asked which of them has {place.model}"
    if any(backend.room(place, now).starts for backend in able):
        return "tasks before it" if ahead else None
    said = [_why_not(backend, place, now, passed) for backend in able[:SAID]]
    names = [backend.name for backend in able[:SAID]]
    more = len(able) - SAID
    if more > 0:
        said.append(f"and {more} more")
        names.append(f"{more} more")
    above = fleet.above(place.model)
    said += [f"{backend.name} is of a higher tier" for backend in above[:SAID]]
    why = "; ".join(said)
    if len(able) + len(above) == len(fleet) or all(_lacks(one, place) for one in able):
        return why
    only = " and ".join([*names, *(backend.name for backend in above[:SAID])])
    one = len(able) + len(above) == 1
    return f"only {only} {'has' if one else 'have'} {place.model}: {why}"


def swap_on(backend: BackendSlots, place: Place | None, now: float, passed: Passed) -> str | None:
    """What the backend loads, or what has to end there first. `place` is that of the first task in
    line.
    """
    residency = backend.residency
    if residency is None or backend.down is not None:
        return None
    if residency.load is not None and not residency.load.group.loaded:
        return f"loads {residency.load.group}"
    if place is None or backend.room(place, now) is not Room.DRAINING:
        return None
    if passed(backend, place, now):
        return None  # as long as others go first, nothing is to end
    after = residency.group(backend.key(place), place.model)
    busy = [group for group in residency.loaded if group.concurrency.running]
    before = ", ".join(str(group) for group in busy)
    runs = sum(group.concurrency.running for group in busy)
    return f"{before} → {after}, {runs} of {before} still running" if busy else f"loads {after}"


def _lacks(backend: BackendSlots, place: Place) -> bool:
    """Whether it has not the model, as far as it says: then it is asked as no other one has it."""
    return backend.models.names(place.model) is False


def _why_not(backend: BackendSlots, place: Place, now: float, passed: Passed) -> str:
    """Why the task cannot start on this backend now."""
    name = backend.name
    if backend.down is not None:
        since = "" if backend.down_since is None else f" since {backend.down_since:%H:%M} UTC"
        return f"{name} is down{since}"
    if backend.held is not None:
        return f"{name} gets nothing for a moment ({backend.held.reason})"
    if (failing := backend.failing(place)) is not None:
        return f"{name}: {failing}"
    room = backend.room(place, now)
    if room is Room.LIMITED and backend.model_limits is not None:
        limit, model = backend.model_limits.of(place.model), one_name(place.model)
        slots = "the only slot" if limit == 1 else f"all {limit} slots"
        are = "is" if limit == 1 else "are"
        return f"{slots} for {model} on {name} {are} taken (backends[].model_limits)"
    if room is Room.TAKEN:
        return f"all slots of {name} for {place.model} are taken"
    if (swap := swap_on(backend, place, now, passed)) is not None:
        return f"{name}: {swap}"
    if room is Room.DRAINING and passed(backend, place, now):
        return f"{name}: tasks of models in memory go first for a while (scheduler.affinity)"
    return f"{name}: a model is being loaded"

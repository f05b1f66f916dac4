"""On which backend a task starts, and which one it waits for if it can start on none."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from math import inf

from oq.rules.place import Place
from oq.rules.reserve import Reserve
from oq.rules.room import Room
from oq.rules.slots import BackendSlots

KINDS = 1024
"""Models, with options, of which it is remembered of a backend that it has no slot for them."""
LEAN = 0.5
"""A share of what a backend serves at once. Tasks that begin alike and have nothing else in common
count as one conversation: they are not to fill one backend while another has nothing to do."""


def place_on(
    backends: Sequence[BackendSlots],
    place: Place,
    now: float,
    but: Collection[BackendSlots] = (),
    *,
    reserve: Reserve | None = None,
    waited_for: BackendSlots | None = None,
    last: BackendSlots | None = None,
) -> tuple[BackendSlots | None, Room]:
    """The backend for a task, and what that can do with it now. None if they are closed, or if it
    waits for nothing but other tasks of its model.

    It starts on one that has its model in memory, else on one that has room for it, else on one
    where another model leaves for it: of several on the one that has least to do, beside what it
    serves at once. But if the one that served its conversation `last` has the model in memory and
    a slot, then there, unless it has LEAN more to do than another that has it in memory.
    Else it waits: for a slot where its model is, or else for the one that has the least to end
    first; but if it has waited for one of them before, for that. Of equals it is the first in the
    order of the settings. Those in `but` others wait for.
    """
    if len(backends) == 1 and not but:  # mostly there is one, and it is asked for each task
        only, room = backends[0], room_on(backends[0], place, now, reserve)
        return (only if room > Room.LIMITED else None), room
    best, best_room = _best(backends, place, now, but, reserve)
    if last is not None and last in backends and last not in but and last.share(place) < 1:
        room = room_on(last, place, now, reserve)
        others = 1.0 if best is None or best_room is not Room.WARM else best.share(place)
        if room is Room.WARM and last.share(place) - others <= LEAN:
            return last, room
    if waited_for is not None and best is not None and not best_room.starts:
        still = waited_for in backends and waited_for not in but
        room = room_on(waited_for, place, now, reserve) if still else Room.CLOSED
        if room > Room.LIMITED:
            return waited_for, room
    return best, best_room


def _best(
    backends: Sequence[BackendSlots],
    place: Place,
    now: float,
    but: Collection[BackendSlots],
    reserve: Reserve | None,
) -> tuple[BackendSlots | None, Room]:
    """The best of them for a task that nothing is known of but its place."""
    asked = place.model, place.load
    asking = [one for one in backends if one.known.taken.get(asked, now) <= now]
    best, best_room, least, warm = None, Room.CLOSED, 0.0, False
    for backend in asking:
        if backend in but:
            continue
        if warm and (backend.running >= least * backend.limit or backend.share(place) >= least):
            continue  # of many it is not asked what room there is
        if asked in backend.known.draining:
            room = Room.DRAINING
        else:
            room = room_on(backend, place, now, reserve)
            if reserve is None and Room.LIMITED < room <= Room.TAKEN:
                _remember(backend, place, room)
        if room <= Room.LIMITED or room < best_room:
            continue
        busy = _busy(backend, room, place)
        if room > best_room or busy < least:
            best, best_room, least, warm = backend, room, busy, room is Room.WARM
            if warm and not busy:
                break
    if best_room <= Room.TAKEN and len(asking) < len(backends):
        asked_best = best if best_room is Room.TAKEN else None
        taken = (one for one in backends if one is asked_best or one not in asking)
        first = next((one for one in taken if one not in but), None)
        if first is not None:
            return first, Room.TAKEN
    return best, best_room


def _remember(backend: BackendSlots, place: Place, room: Room) -> None:
    """It cannot start such a task. Of many backends most are not asked again for each task."""
    if backend.model_limits is not None:
        return  # that a model has as many as it may is another thing
    known, asked = backend.known, (place.model, place.load)
    if len(known.taken) + len(known.draining) >= KINDS:
        known.forget()
    if room is Room.DRAINING:
        known.draining.add(asked)
        return
    full, concurrency = backend.running >= backend.limit, backend.concurrency_of(place)
    until = inf if full or concurrency is None else concurrency.allowed_at()
    known.taken[asked] = until


def room_on(backend: BackendSlots, place: Place, now: float, reserve: Reserve | None) -> Room:
    """What the backend can do with a task now. A slot that is kept for others is taken."""
    room = backend.room(place, now)
    if reserve is None or not room.starts:
        return room
    if reserve.denies(backend, place):
        return Room.TAKEN
    return Room.LIMITED if reserve.denies_model(backend, place) else room


def _busy(backend: BackendSlots, room: Room, place: Place) -> float:
    """What is compared of backends that have the same room: the less, the better."""
    if room.starts:
        return backend.share(place)
    return backend.running if room is Room.DRAINING else 0

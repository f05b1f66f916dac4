"""On which backend a task starts, and which one it waits for if it can start on none."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from oq.rules.place import Place
from oq.rules.reserve import Reserve
from oq.rules.residency import Room
from oq.rules.slots import BackendSlots


def place_on(
    backends: Sequence[BackendSlots],
    place: Place,
    now: float,
    but: Collection[BackendSlots] = (),
    *,
    reserve: Reserve | None = None,
    waited_for: BackendSlots | None = None,
) -> tuple[BackendSlots | None, Room]:
    """The backend for a task, and what that can do with it now. None if all of them are closed.

    It starts on the first that has its model in memory, else on the first that has room for it,
    else on the first where another model leaves for it. Else it waits: for a slot where its model
    is, or else for the one that has the least to end first; but if it has waited for one of them
    before, for that. Those in `but` others wait for.
    """
    best: tuple[BackendSlots, Room] | None = None
    for backend in backends:
        if backend in but:
            continue
        room = room_on(backend, place, now, reserve)
        choice = backend, room
        if room is Room.WARM:
            return choice
        if room is not Room.CLOSED and (best is None or _worse(choice) < _worse(best)):
            best = choice
    if waited_for is not None and best is not None and not best[1].starts:
        still = waited_for in backends and waited_for not in but
        room = room_on(waited_for, place, now, reserve) if still else Room.CLOSED
        if room is not Room.CLOSED:
            return waited_for, room
    return best or (None, Room.CLOSED)


def room_on(backend: BackendSlots, place: Place, now: float, reserve: Reserve | None) -> Room:
    """What the backend can do with a task now. A slot that is kept for others is taken."""
    room = backend.room(place, now)
    denied = reserve is not None and room.starts and reserve.denies(backend, place)
    return Room.TAKEN if denied else room


def _worse(choice: tuple[BackendSlots, Room]) -> tuple[int, int]:
    backend, room = choice
    return -room, backend.running if room is Room.DRAINING else 0

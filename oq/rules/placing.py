"""On which backend a task starts, and which one it waits for if it can start on none."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from oq.rules.place import Place
from oq.rules.residency import Room
from oq.rules.slots import BackendSlots


def place_on(
    backends: Sequence[BackendSlots], place: Place, now: float, but: Collection[BackendSlots] = ()
) -> tuple[BackendSlots | None, Room]:
    """The backend for a task, and what that can do with it now. None if all of them are closed.

    It starts on the first that has its model in memory, else on the first that has room for it,
    else on the first where another model leaves for it. Else it waits: for a slot where its model
    is, or else for the one that has the least to end first. Those in `but` others wait for.
    """
    best: tuple[BackendSlots, Room] | None = None
    for backend in backends:
        if backend in but:
            continue
        choice = backend, backend.room(place, now)
        if choice[1] is Room.WARM:
            return choice
        if choice[1] is not Room.CLOSED and (best is None or _worse(choice) < _worse(best)):
            best = choice
    return best or (None, Room.CLOSED)


def _worse(choice: tuple[BackendSlots, Room]) -> tuple[int, int]:
    backend, room = choice
    return -room, backend.running if room is Room.DRAINING else 0

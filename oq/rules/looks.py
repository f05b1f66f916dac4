"""When a backend is to be asked which models it has, and what it has in memory."""

from __future__ import annotations

from math import inf

from oq.rules.fleet import Fleet
from oq.rules.slots import BackendSlots
from oq.words.messages import Look


def looks(fleet: Fleet, now: float, *, waits: bool) -> list[Look]:
    """The backends that are to be asked now which models they have, or, while something `waits`,
    what they have in memory. They count as asked.
    """
    found: list[Look] = []
    for backend in fleet:
        if list_due(fleet, backend, waits=waits) <= now:
            backend.models.asked_at = backend.asked_at = now
            backend.models.wanted = False
            found.append(Look(backend.name, full=True))
        elif waits and backend.look_at() <= now:
            backend.asked_at = now
            found.append(Look(backend.name))
    fleet.lists_wanted = any(backend.models.wanted for backend in fleet)
    return found


def list_due(fleet: Fleet, backend: BackendSlots, *, waits: bool) -> float:
    """When this backend is to be asked which models it has. `waits`: something does."""
    if backend.down is not None:
        return inf
    return backend.models.due(often=waits and fleet.some_down)

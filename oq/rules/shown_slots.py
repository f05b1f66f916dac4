"""What is told of how many tasks a backend serves at once."""

from __future__ import annotations

from oq.rules.concurrency import Concurrency
from oq.rules.residency import Group
from oq.rules.slots import BackendSlots
from oq.words.views import Slots


def slots_of(backend: BackendSlots) -> tuple[Slots, ...]:
    """How many tasks it serves at once, for each load group that it has or has had."""
    if backend.residency is not None:
        return tuple(
            _shown(backend, group.concurrency, group)
            for group in backend.residency.groups.values()
            if group.loaded or group.concurrency.running
        )
    if backend.concurrency is not None:
        return (_shown(backend, backend.concurrency),)
    return ()


def at_once(backend: BackendSlots) -> int:
    """How many tasks it is given at once, as far as is known now."""
    shown = slots_of(backend)
    if shown:
        return min(backend.limit, max(sum(one.slots for one in shown), backend.running))
    return backend.limit if backend.source in ("set", "told") else 1


def _shown(backend: BackendSlots, concurrency: Concurrency, group: Group | None = None) -> Slots:
    return Slots(
        slots=concurrency.served,
        source=backend.source,
        reason=concurrency.reason,
        running=concurrency.running,
        model=None if group is None else group.name,
        load=(group.key[1] or None) if group is not None else None,
    )

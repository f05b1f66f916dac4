"""What is told of a backend: how many tasks it serves at once, and how it was lately."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

from oq.rules.concurrency import Concurrency
from oq.rules.model_limits import ModelLimits
from oq.rules.residency import Group
from oq.rules.slots import BackendSlots
from oq.words.timeline import SpanKind
from oq.words.views import Slots

LIMITED = "backends[].model_limits says so"


def slots_of(backend: BackendSlots) -> tuple[Slots, ...]:
    """How many tasks it serves at once, for each load group that it has or has had; and of each
    model that runs, where the settings give it a limit.
    """
    found = _found(backend)
    limits = backend.model_limits
    if limits is None or backend.residency is not None:
        return found
    return (*found, *(_limited(backend, limits, model) for model in sorted(limits.running)))


def _found(backend: BackendSlots) -> tuple[Slots, ...]:
    """The same as it serves them."""
    if backend.residency is not None:
        return tuple(
            _shown(backend, group.concurrency, group)
            for group in backend.residency.groups.values()
            if group.loaded or group.concurrency.running
        )
    if backend.concurrency is not None:
        return (_shown(backend, backend.concurrency),)
    return ()


def held_because(backend: BackendSlots) -> str | None:
    """Why it gets nothing for a moment, or less than it could; None if that is not so."""
    if backend.held is not None:
        return backend.held.reason
    return backend.outages.said(partial(_name_on, backend))


def _name_on(backend: BackendSlots, model: str) -> str:
    """A name of this model for users: the one that stands for all may be a digest."""
    names = (name for name, same in backend.names.items() if same == model)
    return next(names, model).removesuffix(":latest")


def at_once(backend: BackendSlots) -> int:
    """How many tasks it is given at once, as far as is known now."""
    shown = _found(backend)
    if shown:
        return min(backend.limit, max(sum(one.slots for one in shown), backend.running))
    return backend.limit if backend.source in ("set", "told") else 1


def _limited(backend: BackendSlots, limits: ModelLimits, model: str) -> Slots:
    return Slots(
        slots=min(limits.of(model) or 1, backend.limit),
        source="set",
        reason=LIMITED,
        running=limits.running[model],
        model=model,
    )


def _shown(backend: BackendSlots, concurrency: Concurrency, group: Group | None = None) -> Slots:
    served = concurrency.served
    limits = backend.model_limits
    limit = None if group is None or limits is None else limits.of(group.name)
    limited = limit is not None and limit <= served
    return Slots(
        slots=limit if limit is not None and limited else served,
        source="set" if limited else backend.source,
        reason=LIMITED if limited else concurrency.reason,
        running=concurrency.running,
        model=None if group is None else group.name,
        load=(group.key[1] or None) if group is not None else None,
    )


def note_past(backends: Iterable[BackendSlots], now: float) -> bool:
    """Keep how each is now. It is called whenever that may have changed. Whether all are well."""
    all_well = True
    for backend in backends:
        loads = backend.residency is not None and backend.residency.load is not None
        well = backend.down is None and backend.held is None and backend.outages.quiet
        if loads or not well or backend.past.lasts:
            backend.past.note(_as_it_is(backend), now)
            all_well = False
    return all_well


def _as_it_is(backend: BackendSlots) -> Iterator[tuple[SpanKind, str, str]]:
    """What lasts, as its past takes it."""
    if backend.down is not None:
        yield "down", "", backend.down
        return
    if (reason := held_because(backend)) is not None:
        wedged = backend.held is None and backend.outages.wedges
        yield "wedged" if wedged else "held", "", reason
    load = None if backend.residency is None else backend.residency.load
    if load is not None and not load.group.loaded:
        yield "swap" if load.alone else "load", str(load.group.key), str(load.group)

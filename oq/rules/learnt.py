"""What is kept of a backend over a restart: what was learnt of it."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from oq.rules.concurrency import Concurrency
from oq.rules.model_names import full_name
from oq.rules.residency import Group
from oq.rules.slots import BackendSlots


class _Group(Struct, frozen=True, array_like=True):
    """Of a load group. `served` is None if it was not found. `told` is what the backend said."""

    model: str
    load: str
    served: int | None
    refused: int | None
    load_time: float | None
    told: int | None = None


class _Slots(Struct, frozen=True, array_like=True):
    """How many it serves at once, whatever the model, and the number that it told itself."""

    served: int
    refused: int | None
    told: int | None


class _Learnt(Struct, frozen=True, omit_defaults=True):
    groups: tuple[_Group, ...] = ()
    max_models: int | None = None
    models: tuple[str, ...] | None = None
    slots: _Slots | None = None


def record_of(backend: BackendSlots) -> bytes:
    """What was learnt, for `recall`."""
    residency, models = backend.residency, backend.models.record()
    if residency is None:
        return msgspec.json.encode(_Learnt(models=models, slots=_slots_of(backend.concurrency)))
    groups = tuple(_group_of(group) for group in residency.groups.values())
    return msgspec.json.encode(_Learnt(groups, residency.learnt, models))


def _group_of(group: Group) -> _Group:
    name, load, slots = full_name(group.name), group.key[1], _slots_of(group.concurrency)
    if slots is None:
        return _Group(name, load, None, None, group.load_time)
    return _Group(name, load, slots.served, slots.refused, group.load_time, slots.told)


def _slots_of(concurrency: Concurrency | None) -> _Slots | None:
    """None while nothing has been found."""
    if concurrency is None or not concurrency.found:
        return None
    return _Slots(concurrency.served, concurrency.refused, concurrency.told)


def recall(backend: BackendSlots, record: bytes, now: float) -> None:
    """What was learnt before the process started. A record that cannot be read is of no use."""
    try:
        learnt = msgspec.json.decode(record, type=_Learnt)
    except msgspec.MsgspecError:
        return
    backend.models.restore(learnt.models)
    residency = backend.residency
    if residency is None:
        if learnt.slots is not None and backend.concurrency is not None:
            slots = learnt.slots
            backend.concurrency.restore(slots.served, slots.refused, now, slots.told)
        return
    residency.learnt = learnt.max_models
    for each in learnt.groups:
        group = residency.group((backend.model(each.model), each.load), each.model)
        group.load_time = each.load_time
        if each.served is not None:
            group.concurrency.restore(each.served, each.refused, now, each.told)

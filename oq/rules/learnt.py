"""What is kept of a backend over a restart: what was learnt of it."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from oq.rules.concurrency import Concurrency
from oq.rules.model_names import full_name
from oq.rules.slots import BackendSlots


class _Group(Struct, frozen=True, array_like=True):
    model: str
    load: str
    served: int
    refused: int | None
    load_time: float | None


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
    groups = tuple(
        _Group(full_name(group.name), group.key[1], group.concurrency.served,
               group.concurrency.refused, group.load_time)
        for group in residency.groups.values()
    )  # fmt: skip
    return msgspec.json.encode(_Learnt(groups, residency.learnt, models))


def _slots_of(concurrency: Concurrency | None) -> _Slots | None:
    """None while nothing has been found."""
    if concurrency is None or not concurrency.found:
        return None
    told = concurrency.most if concurrency.told else None
    return _Slots(concurrency.served, concurrency.refused, told)


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
        group.concurrency.restore(each.served, each.refused, now)

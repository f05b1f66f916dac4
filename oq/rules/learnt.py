"""What is kept of a backend over a restart: what was learnt of it."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from oq.rules import memory_record
from oq.rules.memory_record import GroupRecord, MemoryRecord
from oq.rules.slots import BackendSlots


class _Slots(Struct, frozen=True, array_like=True):
    """How many it serves at once, whatever the model, and the number that it told itself."""

    served: int
    refused: int | None
    told: int | None


class _Learnt(Struct, frozen=True, omit_defaults=True):
    """`groups` and `max_models` are those of a `MemoryRecord`."""

    groups: tuple[GroupRecord, ...] = ()
    max_models: int | None = None
    models: tuple[str, ...] | None = None
    slots: _Slots | None = None


def record_of(backend: BackendSlots) -> bytes:
    """What was learnt, for `recall`."""
    residency, memory = backend.residency, backend.memory_before
    if residency is not None:
        memory = memory_record.record_of(residency)
    slots = _slots_of(backend)
    return msgspec.json.encode(
        _Learnt(memory.groups, memory.max_models, backend.models.record(), slots)
    )


def _slots_of(backend: BackendSlots) -> _Slots | None:
    """None while nothing has been found."""
    concurrency = backend.concurrency
    if concurrency is None and backend.residency is None and backend.at_first.told == 1:
        return _Slots(1, None, 1)  # there is nothing to find
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
    slots = learnt.slots
    if slots is not None and backend.concurrency is not None:
        backend.concurrency.restore(slots.served, slots.refused, now, slots.told)
    backend.memory_before = MemoryRecord(learnt.groups, learnt.max_models)
    if backend.residency is not None:
        memory_record.restore(backend.residency, backend.memory_before, backend.model, now)

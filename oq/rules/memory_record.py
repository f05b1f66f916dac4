"""What was learnt of what a backend has in memory, as it is kept over a restart."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from oq.rules.model_names import full_name
from oq.rules.residency import Group, Residency


class GroupRecord(Struct, frozen=True, array_like=True):
    """Of a load group. `served` is None if it was not found. `told` is what the backend said."""

    model: str
    load: str
    served: int | None
    refused: int | None
    load_time: float | None
    told: int | None = None


class MemoryRecord(Struct, frozen=True):
    """`max_models` is how many models there was room for, as it turned out."""

    groups: tuple[GroupRecord, ...] = ()
    max_models: int | None = None


def record_of(residency: Residency) -> MemoryRecord:
    """What was learnt, for `restore`."""
    groups = tuple(_group_record(group) for group in residency.groups.values())
    return MemoryRecord(groups, residency.learnt)


def _group_record(group: Group) -> GroupRecord:
    name, load, known = full_name(group.name), group.key[1], group.concurrency
    if not known.found:
        return GroupRecord(name, load, None, None, group.load_time)
    return GroupRecord(name, load, known.served, known.refused, group.load_time, known.told)


def restore(
    residency: Residency, record: MemoryRecord, model_of: Callable[[str], str], now: float
) -> None:
    """What was learnt before. `model_of` says the one name of a model."""
    residency.learnt = record.max_models
    for each in record.groups:
        group = residency.group((model_of(each.model), each.load), each.model)
        group.load_time = each.load_time
        if each.served is not None:
            group.concurrency.restore(each.served, each.refused, now, each.told)

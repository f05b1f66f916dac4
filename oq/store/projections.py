"""What a step of a task writes: one projection for each family of records, index and count.

A step is what happened. A projection says what follows from it in one place, as a function of the
step and of what is stored, so that all of them change in one batch. Whoever adds an index or a
count adds a projection here: the writer, recovery and salvage write by this list, and the check of
a store's consistency reads by it. Rows for an actor that follows the steps are no projection, but
an outbox (`oq.rules.outbox`): salvage does not make them again out of tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from operator import itemgetter

import msgspec
import structlog
from msgspec import Struct

from oq.rules import scope
from oq.rules.place import place_of
from oq.store import keys
from oq.store.damaged_task import ended_key
from oq.store.decoding import UNDECODABLE
from oq.store.engine import Engine, Put
from oq.store.keys import IN_PARTS, Meta
from oq.store.ledger import KeyClaim
from oq.store.streams import stream_puts, stream_removal
from oq.words.errors import StoreCorrupt
from oq.words.steps import Change, Removal
from oq.words.task import Status, TaskState

log = structlog.get_logger("oq.store")

_encode = msgspec.msgpack.Encoder().encode
_decode_state = msgspec.msgpack.Decoder(TaskState).decode


class Batch:
    """A batch in the making: its puts, the store's record after it, and what is stored before."""

    __slots__ = ("_noted", "engine", "meta", "puts")

    def __init__(self, engine: Engine, meta: Meta) -> None:
        self.engine = engine
        self.meta = meta
        self.puts: list[Put] = []
        self._noted: set[bytes] = set()

    def first(self, place: bytes) -> bool:
        """Whether this place is noted for the first time: what is stored does not show yet what the
        batch itself does, and a count is to change once.
        """
        before = len(self._noted)
        self._noted.add(place)
        return len(self._noted) > before

    def stored(self, key: bytes) -> TaskState | None:
        """A task's record, if there is one that can be read."""
        with suppress(StoreCorrupt, *UNDECODABLE):
            value = self.engine.get("state", key)
            return None if value is None else _decode_state(value)
        return None


class Changes(Struct):
    """Changes of several tasks, all between the same two states, each with the key of its task.
    They are projected together: so what the states decide is decided once.
    """

    before: Status | None
    after: Status
    each: list[tuple[bytes, Change]]


Removals = list[tuple[bytes, Removal]]
Leaving = list[tuple[bytes, TaskState]]
"""Of ended tasks that are queued again or removed, their records."""

OfChanges = Callable[[Changes, Batch], None]
OfLeaving = Callable[[Leaving, Batch], None]
OfRemovals = Callable[[Removals, Batch], None]
"""Each appends its puts to the batch, or changes a count, for these tasks."""


@dataclass(frozen=True, slots=True)
class Projection:
    """What follows in one family from the arrival of tasks, from each change of them (the first one
    too), from the end of a run that was on disk, from their end, from leaving an ended state (to be
    queued again, or removed; with the records of that state), and from their removal.
    """

    arrival: OfChanges | None = None
    change: OfChanges | None = None
    run_over: OfChanges | None = None
    end: OfChanges | None = None
    end_undone: OfLeaving | None = None
    removal: OfRemovals | None = None


# -- records


def _put_state(changes: Changes, batch: Batch) -> None:
    put = batch.puts.append
    for key, change in changes.each:
        put(("state", key, _encode(change.state)))


def _drop_state(removals: Removals, batch: Batch) -> None:
    batch.puts += [("state", key, None) for key, _ in removals]


def _put_body(changes: Changes, batch: Batch) -> None:
    put = batch.puts.append
    for key, change in changes.each:
        if change.body is not None:
            put(("body", key, _encode(change.body)))


def _drop_body(removals: Removals, batch: Batch) -> None:
    batch.puts += [("body", key, None) for key, _ in removals]


def _put_result(changes: Changes, batch: Batch) -> None:
    for key, change in changes.each:
        result = change.result
        if isinstance(result, bytes):
            batch.puts.append(("result", key, result))
        elif result is not None:
            batch.puts.append(("result", key, IN_PARTS))
        elif change.refusal is not None:
            batch.puts.append(("result", key, _encode(change.refusal)))


def _drop_result(leaving: Leaving, batch: Batch) -> None:
    batch.puts += [("result", key, None) for key, _ in leaving]


def _put_stream(changes: Changes, batch: Batch) -> None:
    for key, change in changes.each:
        if change.stream is not None:
            batch.puts += stream_puts(key, change.stream)


def _drop_ahead(changes: Changes, batch: Batch) -> None:
    """What was written ahead of the end of an attempt that came to nothing."""
    for key, change in changes.each:
        if change.stream is None:
            batch.puts += stream_removal(batch.engine, key)


def _drop_stream(leaving: Leaving, batch: Batch) -> None:
    for key, _ in leaving:
        batch.puts += stream_removal(batch.engine, key)


# -- indexes


def _put_status(changes: Changes, batch: Batch) -> None:
    before, after, put = changes.before, changes.after, batch.puts.append
    if before is not None and before is not after:
        old = keys.status_prefix(before)
        for key, _ in changes.each:
            put(("status", old + key, None))
    new = keys.status_prefix(after)
    for key, change in changes.each:
        place = _encode(place_of(change.state)) if after is Status.PENDING else b""
        put(("status", new + key, place))


def _drop_status(removals: Removals, batch: Batch) -> None:
    batch.puts += [
        ("status", keys.status_key(removal.state.status, key), None) for key, removal in removals
    ]


def _put_end(changes: Changes, batch: Batch) -> None:
    for key, change in changes.each:
        state = change.state
        mark = b""
        if state.awaited:
            mark = keys.UNREAD
            batch.meta.unread += 1
        batch.puts.append(("ended", keys.ended_key(state, key), mark))


def _drop_end(leaving: Leaving, batch: Batch) -> None:
    for key, ended in leaving:
        place = ended_key(batch.engine, ended, key)
        if ended.awaited or ended.damaged:  # what stands in for a record does not say
            batch.meta.unread -= _is_unread(place, batch)
        batch.puts.append(("ended", place, None))


def _is_unread(place: bytes, batch: Batch) -> bool:
    """Whether the task at this place of the index waits to be read, if that can be read."""
    with suppress(StoreCorrupt):
        return batch.engine.get("ended", place) == keys.UNREAD
    return False


def note_read(key: bytes, batch: Batch) -> None:
    """The task's result was read; by now it may have gone, or been queued again."""
    state = batch.stored(key)
    if state is not None and state.status.ended:
        place = keys.ended_key(state, key)
        if _is_unread(place, batch) and batch.first(place):
            batch.puts.append(("ended", place, b""))
            batch.meta.unread -= 1


def _put_claim(changes: Changes, batch: Batch) -> None:
    for _, change in changes.each:
        if change.fingerprint is None:
            continue
        name = scope.claim_name(change.state.terms)
        if name is not None:
            claim = KeyClaim(change.state.id, change.fingerprint)
            batch.puts.append(("keys", name.encode(), _encode(claim)))


def _drop_claim(removals: Removals, batch: Batch) -> None:
    for _, removal in removals:
        name = scope.claim_name(removal.state.terms)
        if name is not None:
            batch.puts.append(("keys", name.encode(), None))


def _put_gone(removals: Removals, batch: Batch) -> None:
    for key, removal in removals:
        if removal.retired is not None:
            batch.puts.append(("meta", keys.gone_key(key), keys.pack_time(removal.retired)))
            batch.meta.gone += 1


def forget_id(key: bytes, batch: Batch) -> None:
    """Of the removed task not even the id is to be known any more."""
    name = keys.gone_key(key)
    there = True  # it was listed, where it cannot be read
    with suppress(StoreCorrupt):
        there = batch.engine.get("meta", name) is not None
    if there and batch.first(name):
        batch.puts.append(("meta", name, None))
        batch.meta.gone -= 1


# -- counts


def _count_last_id(changes: Changes, batch: Batch) -> None:
    _, newest = max(changes.each, key=itemgetter(0))  # keys are in the order of ids
    batch.meta.last_id = max(batch.meta.last_id, newest.state.id)


def _count_change(changes: Changes, batch: Batch) -> None:
    before, after = changes.before, changes.after
    if before is not after:
        counts = batch.meta.counts
        counts[after] += len(changes.each)
        if before is not None:
            counts[before] -= len(changes.each)


def _count_removal(removals: Removals, batch: Batch) -> None:
    for _, removal in removals:
        batch.meta.counts[removal.state.status] -= 1


PROJECTIONS = {
    "state": Projection(change=_put_state, removal=_drop_state),
    "body": Projection(arrival=_put_body, removal=_drop_body),
    "result": Projection(end=_put_result, end_undone=_drop_result),
    "stream": Projection(run_over=_drop_ahead, end=_put_stream, end_undone=_drop_stream),
    "status": Projection(change=_put_status, removal=_drop_status),
    "ended": Projection(end=_put_end, end_undone=_drop_end),
    "keys": Projection(arrival=_put_claim, removal=_drop_claim),
    "gone": Projection(removal=_put_gone),
    "last id": Projection(arrival=_count_last_id),
    "counts": Projection(change=_count_change, removal=_count_removal),
}


def _of_changes(before: Status | None, after: Status) -> list[OfChanges]:
    """The rules for changes between these states."""
    each = PROJECTIONS.values()
    rules = [one.arrival for one in each] if before is None else []
    if before is Status.RUNNING:
        rules += [one.run_over for one in each]
    rules += [one.change for one in each]
    if after.ended:
        rules += [one.end for one in each]
    return [rule for rule in rules if rule is not None]


_OF_CHANGES = {
    (before, after): _of_changes(before, after) for before in (None, *Status) for after in Status
}
_OF_LEAVING = [one.end_undone for one in PROJECTIONS.values() if one.end_undone is not None]
_OF_REMOVALS = [one.removal for one in PROJECTIONS.values() if one.removal is not None]


def project(steps: Iterable[Change | Removal], batch: Batch) -> None:
    """Put into the batch all that these steps write, no more than one of each task. AssertionError
    when one cannot follow from what is stored.
    """
    alike: dict[tuple[Status | None, Status], list[tuple[bytes, Change]]] = {}
    removals: Removals = []
    for step in steps:
        state = step.state
        if isinstance(step, Removal):
            removals.append((keys.pack(state.id), step))
            continue
        between = step.before, state.status
        each = alike.get(between)
        if each is None:
            each = alike[between] = []
        each.append((keys.pack(state.id), step))
    if removals:  # first: what they free, such as a name of a key, another task may take
        _undo_ends([(key, one.state) for key, one in removals if one.state.status.ended], batch)
        for drop in _OF_REMOVALS:
            drop(removals, batch)
    for (before, after), each in alike.items():
        if before is not None and before.ended and before is not after:
            _undo_ends([(key, _stored(key, change, batch)) for key, change in each], batch)
        changes = Changes(before, after, each)
        for rule in _OF_CHANGES[before, after]:
            rule(changes, batch)


def _stored(key: bytes, change: Change, batch: Batch) -> TaskState:
    """The record of an ended task that is queued again."""
    ended = batch.stored(key)
    assert ended is not None, f"task {change.state.id} is queued again but not stored"
    return ended


def _undo_ends(leaving: Leaving, batch: Batch) -> None:
    for rule in _OF_LEAVING:
        rule(leaving, batch)


def check_counts(meta: Meta) -> None:
    """AssertionError when steps were committed that cannot have happened. What only bounds how much
    is kept is put right instead: where the index is damaged it may be wrong.
    """
    assert min(meta.counts.values()) >= 0, f"less than no task is counted: {meta.counts}"
    if meta.unread < 0 or meta.gone < 0:
        log.error("a count of the store was too low", unread=meta.unread, gone=meta.gone)
        meta.unread, meta.gone = max(0, meta.unread), max(0, meta.gone)

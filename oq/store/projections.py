"""What a step of a task writes: one projection for each family of records, index and count.

A step is what happened. A projection says what follows from it in one place, as a function of the
step and of what is stored, so that all of them change in one batch. Whoever adds an index or a
count adds a projection here: the writer, recovery and salvage write by this list, and the check of
a store's consistency reads by it. Rows for an actor that follows the steps are no projection, but
an outbox (`oq.rules.outbox`): salvage does not make them again out of tasks.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import msgspec

from oq.rules import scope
from oq.rules.place import place_of
from oq.store import keys
from oq.store.batches import UNDECODABLE
from oq.store.damaged_task import ended_key
from oq.store.engine import Engine, Put
from oq.store.keys import IN_PARTS, Meta
from oq.store.ledger import KeyClaim
from oq.store.streams import stream_puts, stream_removal
from oq.words.errors import StoreCorrupt
from oq.words.steps import Change, Removal
from oq.words.task import Status, TaskState

_encode = msgspec.msgpack.Encoder().encode
_decode_state = msgspec.msgpack.Decoder(TaskState).decode


class Batch:
    """A batch in the making: its puts, the store's record after it, and what is stored before."""

    __slots__ = ("engine", "meta", "puts")

    def __init__(self, engine: Engine, meta: Meta) -> None:
        self.engine = engine
        self.meta = meta
        self.puts: list[Put] = []

    def stored(self, key: bytes) -> TaskState | None:
        """A task's record, if there is one that can be read."""
        with suppress(StoreCorrupt, *UNDECODABLE):
            value = self.engine.get("state", key)
            return None if value is None else _decode_state(value)
        return None


OfChange = Callable[[bytes, Change, Batch], None]
OfState = Callable[[bytes, TaskState, Batch], None]
OfRemoval = Callable[[bytes, Removal, Batch], None]
"""Each appends its puts to the batch, or changes a count, for the task with this key."""


@dataclass(frozen=True, slots=True)
class Projection:
    """What follows in one family from a task's arrival, from each change of it (the first one too),
    from the end of a run that was on disk, from its end, from leaving an ended state (to be queued
    again, or removed; with the record of that state), and from its removal.
    """

    arrival: OfChange | None = None
    change: OfChange | None = None
    run_over: OfChange | None = None
    end: OfChange | None = None
    end_undone: OfState | None = None
    removal: OfRemoval | None = None


# -- records


def _put_state(key: bytes, change: Change, batch: Batch) -> None:
    batch.puts.append(("state", key, _encode(change.state)))


def _drop_state(key: bytes, removal: Removal, batch: Batch) -> None:
    batch.puts.append(("state", key, None))


def _put_body(key: bytes, change: Change, batch: Batch) -> None:
    if change.body is not None:
        batch.puts.append(("body", key, _encode(change.body)))


def _drop_body(key: bytes, removal: Removal, batch: Batch) -> None:
    batch.puts.append(("body", key, None))


def _put_result(key: bytes, change: Change, batch: Batch) -> None:
    result = change.result
    if isinstance(result, bytes):
        batch.puts.append(("result", key, result))
    elif result is not None:
        batch.puts.append(("result", key, IN_PARTS))
    elif change.refusal is not None:
        batch.puts.append(("result", key, _encode(change.refusal)))


def _drop_result(key: bytes, ended: TaskState, batch: Batch) -> None:
    batch.puts.append(("result", key, None))


def _put_stream(key: bytes, change: Change, batch: Batch) -> None:
    if change.stream is not None:
        batch.puts += stream_puts(key, change.stream)


def _drop_ahead(key: bytes, change: Change, batch: Batch) -> None:
    """What was written ahead of the end of an attempt that came to nothing."""
    if change.stream is None:
        batch.puts += stream_removal(batch.engine, key)


def _drop_stream(key: bytes, ended: TaskState, batch: Batch) -> None:
    batch.puts += stream_removal(batch.engine, key)


# -- indexes


def _put_status(key: bytes, change: Change, batch: Batch) -> None:
    state, before = change.state, change.before
    after = state.status
    if before is not None and before is not after:
        batch.puts.append(("status", keys.status_key(before, key), None))
    place = _encode(place_of(state)) if after is Status.PENDING else b""
    batch.puts.append(("status", keys.status_key(after, key), place))


def _drop_status(key: bytes, removal: Removal, batch: Batch) -> None:
    batch.puts.append(("status", keys.status_key(removal.state.status, key), None))


def _put_end(key: bytes, change: Change, batch: Batch) -> None:
    state = change.state
    batch.meta.unread += state.awaited
    mark = keys.UNREAD if state.awaited else b""
    batch.puts.append(("ended", keys.ended_key(state, key), mark))


def _drop_end(key: bytes, ended: TaskState, batch: Batch) -> None:
    place = ended_key(batch.engine, ended, key)
    if ended.awaited or ended.damaged:  # what stands in for a record does not say
        batch.meta.unread -= batch.engine.get("ended", place) == keys.UNREAD
    batch.puts.append(("ended", place, None))


def note_read(key: bytes, batch: Batch) -> None:
    """The task's result was read; by now it may have gone, or been queued again."""
    state = batch.stored(key)
    if state is not None and state.status.ended:
        place = keys.ended_key(state, key)
        if batch.engine.get("ended", place) == keys.UNREAD:
            batch.puts.append(("ended", place, b""))
            batch.meta.unread -= 1


def _put_claim(key: bytes, change: Change, batch: Batch) -> None:
    if change.fingerprint is None:
        return
    name = scope.claim_name(change.state.terms)
    if name is not None:
        claim = KeyClaim(change.state.id, change.fingerprint)
        batch.puts.append(("keys", name.encode(), _encode(claim)))


def _drop_claim(key: bytes, removal: Removal, batch: Batch) -> None:
    name = scope.claim_name(removal.state.terms)
    if name is not None:
        batch.puts.append(("keys", name.encode(), None))


def _put_gone(key: bytes, removal: Removal, batch: Batch) -> None:
    if removal.retired is not None:
        batch.puts.append(("meta", keys.gone_key(key), keys.pack_time(removal.retired)))
        batch.meta.gone += 1


def forget_id(key: bytes, batch: Batch) -> None:
    """Of the removed task not even the id is to be known any more."""
    name = keys.gone_key(key)
    if batch.engine.get("meta", name) is not None:
        batch.puts.append(("meta", name, None))
        batch.meta.gone -= 1


# -- counts


def _count_last_id(key: bytes, change: Change, batch: Batch) -> None:
    if change.state.id > batch.meta.last_id:
        batch.meta.last_id = change.state.id


def _count_change(key: bytes, change: Change, batch: Batch) -> None:
    before, after = change.before, change.state.status
    if before is not after:
        counts = batch.meta.counts
        counts[after] += 1
        if before is not None:
            counts[before] -= 1


def _count_removal(key: bytes, removal: Removal, batch: Batch) -> None:
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


def _of_change(before: Status | None, after: Status) -> list[OfChange]:
    """The rules for a change between these states."""
    each = PROJECTIONS.values()
    rules = [one.arrival for one in each] if before is None else []
    if before is Status.RUNNING:
        rules += [one.run_over for one in each]
    rules += [one.change for one in each]
    if after.ended:
        rules += [one.end for one in each]
    return [rule for rule in rules if rule is not None]


_OF_CHANGES = {
    before: {after: _of_change(before, after) for after in Status} for before in (None, *Status)
}
_OF_END_UNDONE = [one.end_undone for one in PROJECTIONS.values() if one.end_undone is not None]
_OF_REMOVAL = [one.removal for one in PROJECTIONS.values() if one.removal is not None]


def project(step: Change | Removal, batch: Batch) -> None:
    """Put into the batch all that the step writes. AssertionError when it cannot follow from what
    is stored.
    """
    state = step.state
    key = keys.pack(state.id)
    if isinstance(step, Change):
        before = step.before
        if before is not None and before.ended and before is not state.status:
            ended = batch.stored(key)
            assert ended is not None, f"task {state.id} is queued again but not stored"
            _undo_end(key, ended, batch)
        for rule in _OF_CHANGES[before][state.status]:
            rule(key, step, batch)
        return
    if state.status.ended:
        _undo_end(key, state, batch)
    for drop in _OF_REMOVAL:
        drop(key, step, batch)


def _undo_end(key: bytes, ended: TaskState, batch: Batch) -> None:
    for rule in _OF_END_UNDONE:
        rule(key, ended, batch)


def check_counts(meta: Meta) -> None:
    """AssertionError when steps were committed that cannot have happened."""
    assert min(meta.counts.values()) >= 0, f"less than no task is counted: {meta.counts}"
    assert meta.unread >= 0, "more results were read than there were"
    assert meta.gone >= 0, "more ids were forgotten than were known"

"""Builds the next batch: what each step of a task writes, and how it changes the counts."""

from __future__ import annotations

from collections.abc import Container, Iterable
from contextlib import suppress

import msgspec
from msgspec.structs import replace

from oq.rules.place import place_of
from oq.store import keys
from oq.store.batches import UNDECODABLE
from oq.store.damaged_task import ended_key
from oq.store.engine import Engine, Put
from oq.store.keys import Meta
from oq.store.ledger import KeyClaim
from oq.store.streams import stream_puts, stream_removal
from oq.words.errors import StoreCorrupt
from oq.words.steps import (
    OF_ONE_TASK,
    Ahead,
    Change,
    IdsForgotten,
    Removal,
    ResultsRead,
    SetPaused,
    Step,
)
from oq.words.task import Status, TaskState

_encode = msgspec.msgpack.Encoder().encode
_decode_state = msgspec.msgpack.Decoder(TaskState).decode


Other = Ahead | SetPaused | ResultsRead | IdsForgotten
"""The steps that do not change the state of a task."""


class BatchBuilder:
    """Builds the batch that follows the one that `meta` is from."""

    def __init__(self, engine: Engine, meta: Meta, event_seq: int) -> None:
        self._engine = engine
        self._puts: list[Put] = []
        self.meta = replace(
            meta, commit=meta.commit + 1, event_seq=event_seq, counts=dict(meta.counts)
        )
        """The store's record after this batch."""

    def put(self, step: Change | Removal) -> None:
        """Add what this step writes; no more than one step of each task."""
        if isinstance(step, Change):
            self._put_change(step)
        else:
            self._put_removal(step)

    def put_other(self, step: Other, changed: Container[str]) -> None:
        """The same for a step of which there may be several; `changed` are the tasks that have
        another one.
        """
        match step:
            case Ahead():
                self._puts.extend(stream_puts(keys.pack(step.task_id), step.records))
            case SetPaused():
                self.meta.paused = step.paused
            case ResultsRead():
                for task_id in step.task_ids:
                    if task_id not in changed:
                        self._put_read(keys.pack(task_id))
            case IdsForgotten():
                for task_id in step.task_ids:
                    self._put_forgotten(keys.pack(task_id))

    def whole(self) -> list[Put]:
        """The batch, once all is in it."""
        return [*self._puts, ("meta", keys.META_KEY, _encode(self.meta))]

    def _put_change(self, change: Change) -> None:
        state, before = change.state, change.before
        puts, meta = self._puts, self.meta
        counts = meta.counts
        key = keys.pack(state.id)
        puts.append(("state", key, _encode(state)))
        if before is not None and before is not state.status:
            puts.append(("status", keys.status_key(before, key), None))
            counts[before] -= 1
            if before.ended:
                ended = self._state(key)
                assert ended is not None, f"task {state.id} is queued again but not stored"
                self._put_no_end(ended, key)
                puts.append(("result", key, None))
                puts.extend(stream_removal(self._engine, key))
        if before is not state.status:
            counts[state.status] += 1
        if before is None and state.id > meta.last_id:
            meta.last_id = state.id
        place = _encode(place_of(state)) if state.status is Status.PENDING else b""
        puts.append(("status", keys.status_key(state.status, key), place))
        if state.status.ended:
            meta.unread += state.awaited
            mark = keys.UNREAD if state.awaited else b""
            puts.append(("ended", keys.ended_key(state, key), mark))
        if change.body is not None:
            puts.append(("body", key, _encode(change.body)))
        if change.result is not None:
            puts.append(("result", key, change.result))
        if change.stream is not None:
            puts.extend(stream_puts(key, change.stream))
        elif before is Status.RUNNING:
            # What was written ahead of the end of an attempt that came to nothing.
            puts.extend(stream_removal(self._engine, key))
        if change.fingerprint is not None and state.terms.idempotency_key is not None:
            claim = KeyClaim(state.id, change.fingerprint)
            puts.append(("keys", state.terms.idempotency_key.encode(), _encode(claim)))

    def _put_removal(self, removal: Removal) -> None:
        state = removal.state
        key = keys.pack(state.id)
        self.meta.counts[state.status] -= 1
        self._puts.extend((family, key, None) for family in ("state", "body", "result"))
        self._puts.extend(stream_removal(self._engine, key))
        self._puts.append(("status", keys.status_key(state.status, key), None))
        if state.status.ended:
            self._put_no_end(state, key)
        if state.terms.idempotency_key is not None:
            self._puts.append(("keys", state.terms.idempotency_key.encode(), None))
        if removal.retired is not None:
            self._puts.append(("meta", keys.gone_key(key), keys.pack_time(removal.retired)))
            self.meta.gone += 1

    def _put_no_end(self, ended: TaskState, key: bytes) -> None:
        """Take a task off the list of ended ones."""
        place = ended_key(self._engine, ended, key)
        if ended.awaited or ended.damaged:  # what stands in for a record does not say
            self.meta.unread -= self._engine.get("ended", place) == keys.UNREAD
        self._puts.append(("ended", place, None))

    def _put_read(self, key: bytes) -> None:
        """Its result was read; by now it may have gone, or been queued again."""
        state = self._state(key)
        if state is not None and state.status.ended:
            place = keys.ended_key(state, key)
            if self._engine.get("ended", place) == keys.UNREAD:
                self._puts.append(("ended", place, b""))
                self.meta.unread -= 1

    def _put_forgotten(self, key: bytes) -> None:
        if self._engine.get("meta", keys.gone_key(key)) is not None:
            self._puts.append(("meta", keys.gone_key(key), None))
            self.meta.gone -= 1

    def _state(self, key: bytes) -> TaskState | None:
        """Its record, if there is one that can be read."""
        with suppress(StoreCorrupt, *UNDECODABLE):
            value = self._engine.get("state", key)
            return None if value is None else _decode_state(value)
        return None


def merge(steps: Iterable[Step]) -> tuple[dict[str, Change | Removal], list[Other]]:
    """The steps by task, those of one task made one: what lies between is never seen on disk. And
    those that do not change the state of a task.
    """
    merged: dict[str, Change | Removal] = {}
    others: list[Other] = []
    for step in steps:
        if not isinstance(step, OF_ONE_TASK):
            others.append(step)
            continue
        task_id = step.state.id
        earlier = merged.get(task_id)
        merged[task_id] = step if earlier is None else _joined(earlier, step)
    return merged, others


def _joined(earlier: Change | Removal, later: Change | Removal) -> Change:
    assert isinstance(earlier, Change), f"task {later.state.id} changes when it has gone"
    assert isinstance(later, Change), f"task {later.state.id} changes as it goes"
    return Change(
        later.state, earlier.before, later.event, later.data,
        later.body or earlier.body, later.result or earlier.result,
        later.stream or earlier.stream,
        later.fingerprint or earlier.fingerprint,
    )  # fmt: skip

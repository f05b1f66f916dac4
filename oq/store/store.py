"""The tasks on disk: what each step of a task's life writes, and every way to read it back."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from itertools import islice

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from oq.rules.filters import TaskFilter
from oq.rules.ids import NIL, is_id
from oq.rules.outbox import Outbox
from oq.rules.place import Place, place_of
from oq.rules.retention import Ended
from oq.rules.stream_log import StreamLog
from oq.store import keys
from oq.store.batch_builder import BatchBuilder, merge
from oq.store.damaged_task import damaged_task
from oq.store.decoding import UNDECODABLE, read
from oq.store.engine import Engine
from oq.store.errors import behind_mark, index_disagrees, other_world, removed_by_retention
from oq.store.keys import Meta
from oq.store.ledger import Gone, KeyClaim, Row, Waiting
from oq.store.migration import check_format, fresh_meta, migrated
from oq.store.readable_rows import count_gone, count_unread, ended_rows, gone_rows
from oq.store.recent import Recent
from oq.store.streams import StreamShelf
from oq.words.errors import NotFound, Removed, StoreCorrupt
from oq.words.outcome import Refusal
from oq.words.steps import Step
from oq.words.task import Body, Status, TaskState

PAST_ANY_ID = b"\xff" * 17

_encode = msgspec.msgpack.Encoder().encode
_decode_state = msgspec.msgpack.Decoder(TaskState).decode
_decode_body = msgspec.msgpack.Decoder(Body).decode
_decode_refusal = msgspec.msgpack.Decoder(Refusal).decode
_decode_place = msgspec.msgpack.Decoder(Place).decode
_decode_meta = msgspec.msgpack.Decoder(Meta).decode
_check_json = msgspec.json.Decoder(Raw).decode
_decode_claim = msgspec.msgpack.Decoder(KeyClaim).decode


class Store:
    """All tasks, over an engine. Not thread-safe but for `sync`, which one thread may run while
    others read and write.

    `write` is visible to reads at once and durable after the next `sync`. What steps leave in
    `outboxes` is written with them.
    """

    def __init__(self, engine: Engine, outboxes: Sequence[Outbox] = ()) -> None:
        self._engine = engine
        self._outboxes = outboxes
        self._recent = Recent()
        self._streams = StreamShelf(engine)
        self._meta = self._read_meta()
        self._on_disk = self._meta  # as of the last sync

    @property
    def facts(self) -> Meta:
        """By what is written."""
        return self._meta

    @property
    def facts_on_disk(self) -> Meta:
        """By what no power cut can take back."""
        return self._on_disk

    @property
    def synced(self) -> bool:
        """Whether all that is written is on disk."""
        return self._on_disk is self._meta

    def enter(self, *, simulated: bool) -> None:
        """Say whether the tasks are to run on simulated backends. StoreError when those that this
        store ever had are of the other kind: nobody is to take an answer that was made up for a
        real one. It is on disk with the first task.
        """
        if self._meta.last_id == NIL:
            self._meta.simulated = simulated
        elif self._meta.simulated is not simulated:
            raise other_world(simulated=simulated)

    # -- writing

    def write(self, steps: Sequence[Step], event_seq: int) -> Collection[str]:
        """Write the steps as one batch; the tasks that it changes. StoreFull: nothing of it was
        written.
        """
        merged, others = merge(steps)
        builder = BatchBuilder(self._engine, self._meta, event_seq)
        builder.put(merged.values())
        for other in others:
            builder.put_other(other, merged)
        for outbox in self._outboxes:
            builder.put_rows(outbox, steps)
        self._engine.write(builder.whole())
        self._meta = builder.meta
        self._recent.note(merged.values())
        return merged.keys()

    def sync(self) -> None:
        """Return when everything written before this call is on disk."""
        meta = self._meta
        self._engine.sync(meta.commit)
        self._on_disk = meta

    def close(self) -> None:
        """Sync what is written and let go of the data directory."""
        try:
            self.sync()
        finally:
            self._engine.close()

    # -- reading

    def state(self, task_id: str) -> TaskState | None:
        """Where the task stands. If its record cannot be read another stands in its place."""
        return self._recent.state(task_id) or self._state(keys.pack(task_id))

    def known(self, task_id: str) -> TaskState:
        """The same of a task that there is. NotFound, or Removed."""
        state = self.state(task_id)
        if state is None:
            raise self.missing(task_id)
        return state

    def body(self, task_id: str) -> Body | None:
        """What it asks for. StoreCorrupt."""
        recent = self._recent.body(task_id)
        if recent is not None:
            return recent
        value = self._engine.get("body", keys.pack(task_id))
        return None if value is None else read(_decode_body, value, f"what task {task_id} asks for")

    def result(self, task_id: str) -> bytes | None:
        """The JSON that it came to. StoreCorrupt."""
        value = self._engine.get("result", keys.pack(task_id))
        if value == keys.IN_PARTS:
            value = self._streams.result(task_id)
        if value is not None:
            read(_check_json, value, f"the result of task {task_id}")
        return value

    def refusal(self, task_id: str) -> Refusal | None:
        """What the backend answered to a failed task, if that was kept and can be read."""
        with suppress(StoreCorrupt, *UNDECODABLE):
            value = self._engine.get("result", keys.pack(task_id))
            return None if value is None else _decode_refusal(value)
        return None

    def stream(self, task_id: str, offset: int = 0) -> StreamLog | None:
        """Of what the last attempt has generated, as far as it is written, the slice in which this
        offset lies, or the last one. StoreCorrupt.
        """
        return self._streams.slice(task_id, offset)

    def claim(self, name: str) -> KeyClaim | None:
        """What the idempotency key with this name was used for, if it was. StoreCorrupt."""
        value = self._engine.get("keys", name.encode())
        if value is None:
            return None
        return read(_decode_claim, value, f"what the idempotency key {name!r} was used for")

    def learnt(self) -> dict[str, bytes]:
        """What was learnt of each backend, as far as it can be read."""
        return self._beside(keys.LEARNT, keys.OUTBOX, keys.backend_learnt)

    def kept(self) -> dict[str, bytes]:
        """The records of what happened lately, as far as they can be read."""
        return self._beside(keys.KEPT, keys.LEARNT, keys.kept_name)

    def _beside(
        self, first: bytes, past: bytes, name_of: Callable[[bytes], str]
    ) -> dict[str, bytes]:
        """The records beside those of tasks whose keys lie there, as far as they can be read."""
        found: dict[str, bytes] = {}
        with suppress(StoreCorrupt):
            for key, record in self._engine.scan("meta", first, past):
                with suppress(UnicodeError):
                    found[name_of(key)] = record
        return found

    def pending(self) -> Iterator[Waiting]:
        """Every pending task, in the order of submission. Reads the index only. StoreCorrupt when
        these are not as many as were counted.
        """
        found = 0
        for key, value in self._scan_status(Status.PENDING):
            found += 1
            yield Waiting(keys.unpack(key[1:]), self._place(key[1:], value))
        counted = self._meta.counts[Status.PENDING]
        if found != counted:
            raise index_disagrees(found, counted)

    def running(self) -> list[TaskState]:
        """The tasks that were running when this store was last written to."""
        return [self._indexed(key[1:]) for key, _ in self._scan_status(Status.RUNNING)]

    def newest(self, filter: TaskFilter) -> Iterator[TaskState]:
        """The tasks that the filter admits, newest first, from below `filter.after`; its limit,
        offset and text are the caller's.
        """
        return self._listed(filter, *_behind(filter, reverse=True), reverse=True)

    def oldest(self, filter: TaskFilter) -> Iterator[TaskState]:
        """The same the other way round: from above `filter.after`."""
        return self._listed(filter, *_behind(filter, reverse=False), reverse=False)

    def ids(self, filter: TaskFilter, *, reverse: bool) -> Iterator[str]:
        """The ids of the tasks in the filter's states, from behind `filter.after`, the newest first
        if `reverse`. Reads the index only.
        """
        low, high = _behind(filter, reverse=reverse)
        lines = [self._keys_of(one, low, high, reverse) for one in filter.status or Status]
        return map(keys.unpack, heapq.merge(*lines, reverse=reverse))

    def _listed(
        self, filter: TaskFilter, low: bytes, high: bytes, *, reverse: bool
    ) -> Iterator[TaskState]:
        if filter.status:
            lines = [self._listed_of(one, low, high, reverse) for one in filter.status]
            states: Iterator[TaskState] = heapq.merge(
                *lines, key=lambda state: state.id, reverse=reverse
            )
        else:
            states = self._all(low, high, reverse=reverse)
        return (state for state in states if filter.admits(state))

    def _all(self, low: bytes, high: bytes, *, reverse: bool) -> Iterator[TaskState]:
        """All tasks between these keys; where their records cannot be scanned, by the index."""
        try:
            for key, value in self._engine.scan("state", low, high, reverse=reverse):
                yield self._decoded(key, value)
                low, high = (low, key) if reverse else (key + b"\0", high)
        except StoreCorrupt:
            lines = [self._listed_of(one, low, high, reverse) for one in Status]
            yield from heapq.merge(*lines, key=lambda state: state.id, reverse=reverse)

    def oldest_ended(self, limit: int, start: bytes = b"") -> Iterator[Ended]:
        """The ended tasks from this place on, the one that ended first first, as far as the index
        can be read, which is all that is read.
        """
        for key, mark in islice(ended_rows(self._engine, start), limit):
            ended_at = keys.unpack_time(key[:8])
            yield Ended(keys.unpack(key[8:]), ended_at, mark == keys.UNREAD, key)

    def oldest_gone(self, limit: int) -> Iterator[Gone]:
        """The removed tasks whose ids are still known, the one that was submitted first first."""
        for key, value in islice(gone_rows(self._engine), limit):
            yield Gone(keys.unpack(key[1:]), keys.unpack_time(value))

    def rows(self, outbox: str, after: int, limit: int) -> Iterator[Row]:
        """The rows of this outbox that are not settled, in their order, from behind this one."""
        low = keys.row_key(outbox, after + 1)
        for key, content in islice(self._engine.scan("meta", low, keys.past_rows(outbox)), limit):
            yield Row(keys.row_number(key), content)

    def missing(self, task_id: str) -> NotFound:
        """Why there is no such task, as an error to raise."""
        if not is_id(task_id):
            return NotFound(task_id)
        value = None
        with suppress(StoreCorrupt):
            value = self._engine.get("meta", keys.gone_key(keys.pack(task_id)))
        if value is None:
            return NotFound(task_id)
        return Removed(task_id, removed_by_retention(task_id, keys.unpack_time(value)))

    def _listed_of(
        self, status: Status, low: bytes, high: bytes, reverse: bool
    ) -> Iterator[TaskState]:
        return map(self._indexed, self._keys_of(status, low, high, reverse))

    def _keys_of(self, status: Status, low: bytes, high: bytes, reverse: bool) -> Iterator[bytes]:
        prefix = keys.status_prefix(status)
        left = self._meta.counts[status]  # stop there: what lies beyond is only tombstones
        rows = self._engine.scan("status", prefix + low, prefix + high, reverse=reverse)
        return (key[1:] for key, _ in islice(rows, left))

    def _scan_status(self, status: Status) -> Iterator[tuple[bytes, bytes]]:
        prefix = keys.status_prefix(status)
        return self._engine.scan("status", prefix, prefix + PAST_ANY_ID)

    def _state(self, key: bytes) -> TaskState | None:
        try:
            value = self._engine.get("state", key)
            if value is not None:
                return _decode_state(value)
        except (StoreCorrupt, *UNDECODABLE):
            pass  # something else is shown in its place
        return damaged_task(self._engine, key)

    def _decoded(self, key: bytes, value: bytes) -> TaskState:
        with suppress(*UNDECODABLE):
            return _decode_state(value)
        return self._indexed(key)

    def _indexed(self, key: bytes) -> TaskState:
        state = self._state(key)
        if state is None:
            raise StoreCorrupt(f"task {keys.unpack(key)} is in one index only")
        return state

    def _place(self, key: bytes, value: bytes) -> Place:
        with suppress(*UNDECODABLE):
            return _decode_place(value)
        return place_of(self._indexed(key))

    def _read_meta(self) -> Meta:
        value = self._engine.get("meta", keys.META_KEY)
        if value is None:
            meta = fresh_meta()
        else:
            check_format(value)
            meta = read(_decode_meta, value, "the record of the store")
        if meta.commit < self._engine.mark():
            raise behind_mark(meta.commit, self._engine.mark())
        return _recounted(self._engine, migrated(self._engine, meta))


def _recounted(engine: Engine, meta: Meta) -> Meta:
    """The record with counts that are right; it is on disk with the next commit."""
    if meta.recounted:
        return meta
    return replace(meta, unread=count_unread(engine), gone=count_gone(engine), recounted=True)


def _behind(filter: TaskFilter, *, reverse: bool) -> tuple[bytes, bytes]:
    """Between which keys the tasks lie that come after `filter.after`."""
    after = keys.pack(filter.after) if filter.after else None
    if reverse:
        return b"", after or PAST_ANY_ID
    return after + b"\0" if after else b"", PAST_ANY_ID

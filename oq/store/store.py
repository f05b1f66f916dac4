"""The tasks on disk: what each step of a task's life writes, and every way to read it back."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from weakref import WeakValueDictionary

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from oq.rules import keys
from oq.rules.filters import TaskFilter
from oq.rules.ids import NIL
from oq.rules.keys import Meta, Place
from oq.rules.pieces import StreamLog
from oq.rules.slices import slice_number
from oq.store.engine import Engine, Put
from oq.store.recent import Recent
from oq.store.refusals import behind_mark, index_disagrees, other_world
from oq.words.errors import StoreCorrupt
from oq.words.messages import Change, Removal, SetPaused, Step
from oq.words.outcome import Refusal
from oq.words.task import ENDED, Body, Status, TaskState

PAST_ANY_ID = b"\xff" * 17
PAST_ANY_END = b"\xff" * 25

_encode = msgspec.msgpack.Encoder().encode
_decode_state = msgspec.msgpack.Decoder(TaskState).decode
_decode_body = msgspec.msgpack.Decoder(Body).decode
_decode_stream = msgspec.msgpack.Decoder(StreamLog).decode
_decode_refusal = msgspec.msgpack.Decoder(Refusal).decode
_decode_place = msgspec.msgpack.Decoder(Place).decode


class Claim(Struct, frozen=True, array_like=True):
    """What an idempotency key was used for: which task, and the fingerprint of what was asked."""

    task_id: str
    fingerprint: bytes


_decode_claim = msgspec.msgpack.Decoder(Claim).decode


class _Head(Struct, frozen=True, array_like=True):
    """Of the first record of a stream only what says whether there are more."""

    attempt: int
    pieces: Raw
    frames: Raw = Raw(b"")
    first: int = 0
    more: bool = False
    starts: list[int] = []


_decode_head = msgspec.msgpack.Decoder(_Head).decode


@dataclass(frozen=True, slots=True)
class Waiting:
    """A pending task, as recovery finds it."""

    task_id: str
    place: Place


class Store:
    """All tasks, over an engine. Not thread-safe but for `sync`, which one thread may run while
    others read and write.

    `write` is visible to reads at once and durable after the next `sync`.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._recent = Recent()
        # A slice may be of many megabytes, if one chunk is: those who read it share it.
        self._slices: WeakValueDictionary[tuple[str, int, int], StreamLog] = WeakValueDictionary()
        self._meta = self._read_meta()
        self._on_disk = self._meta  # as of the last sync

    @property
    def sync_blocks(self) -> bool:
        return self._engine.sync_blocks

    @property
    def commit(self) -> int:
        """The number of the last batch that was written."""
        return self._meta.commit

    @property
    def event_seq(self) -> int:
        return self._meta.event_seq

    @property
    def last_id(self) -> str:
        """The greatest id that any task ever had."""
        return self._meta.last_id

    @property
    def paused(self) -> bool:
        return self._meta.paused

    def enter(self, *, simulated: bool) -> None:
        """Say whether the tasks are to run on simulated backends. StoreError when those that this
        store ever had are of the other kind: nobody is to take an answer that was made up for a
        real one. It is on disk with the first task.
        """
        if self._meta.last_id == NIL:
            self._meta = replace(self._meta, simulated=simulated)
        elif self._meta.simulated is not simulated:
            raise other_world(simulated=simulated)

    def count(self, status: Status) -> int:
        """How many tasks are in this state, by what is written."""
        return self._meta.counts[status]

    def count_on_disk(self, status: Status) -> int:
        """The same by what no power cut can take back: for all that is told."""
        return self._on_disk.counts[status]

    def count_ended(self) -> int:
        return sum(self._meta.counts[status] for status in ENDED)

    # -- writing

    def write(self, steps: Iterable[Step], event_seq: int) -> Collection[str]:
        """Write the steps as one batch; the tasks that it changes. StoreFull: nothing of it was
        written.
        """
        batch: list[Put] = []
        counts = dict(self._meta.counts)
        last_id = self._meta.last_id
        merged, paused = _merged(steps, self._meta.paused)
        for step in merged.values():
            if isinstance(step, Removal):
                self._put_removal(batch, step.state, counts)
                continue
            self._put_change(batch, step, counts)
            if step.before is None and step.state.id > last_id:
                last_id = step.state.id
        meta = Meta(
            commit=self._meta.commit + 1,
            event_seq=event_seq,
            last_id=last_id,
            paused=paused,
            simulated=self._meta.simulated,
            counts=counts,
        )
        batch.append(("meta", keys.META_KEY, _encode(meta)))
        self._engine.write(batch)
        self._meta = meta
        for step in merged.values():
            self._recent.note(step)
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

    def _put_change(self, batch: list[Put], change: Change, counts: dict[Status, int]) -> None:
        state, before = change.state, change.before
        key = keys.pack(state.id)
        batch.append(("state", key, _encode(state)))
        if before is not None and before is not state.status:
            batch.append(("status", keys.status_key(before, key), None))
            counts[before] -= 1
            if before.ended:
                self._forget_end(batch, key)
                batch.append(("result", key, None))
                self._remove_stream(batch, key)
        if before is not state.status:
            counts[state.status] += 1
        place = _encode(keys.place_of(state)) if state.status is Status.PENDING else b""
        batch.append(("status", keys.status_key(state.status, key), place))
        if state.status.ended:
            batch.append(("ended", keys.ended_key(state, key), b""))
        if change.body is not None:
            batch.append(("body", key, _encode(change.body)))
        if change.result is not None:
            batch.append(("result", key, change.result))
        if change.stream:
            names = (key, *(keys.slice_key(key, n) for n in range(len(change.stream) - 1)))
            batch.extend(("stream", *pair) for pair in zip(names, change.stream, strict=True))
        if change.fingerprint is not None and state.idempotency_key is not None:
            claim = Claim(state.id, change.fingerprint)
            batch.append(("keys", state.idempotency_key.encode(), _encode(claim)))

    def _forget_end(self, batch: list[Put], key: bytes) -> None:
        """Take a task that is queued again off the list of ended ones."""
        ended = self._state(key)
        assert ended is not None, f"task {key.hex()} is queued again but not stored"
        batch.append(("ended", keys.ended_key(ended, key), None))

    def _put_removal(self, batch: list[Put], state: TaskState, counts: dict[Status, int]) -> None:
        key = keys.pack(state.id)
        counts[state.status] -= 1
        batch.extend((family, key, None) for family in ("state", "body", "result"))
        self._remove_stream(batch, key)
        batch.append(("status", keys.status_key(state.status, key), None))
        batch.append(("ended", keys.ended_key(state, key), None))
        if state.idempotency_key is not None:
            batch.append(("keys", state.idempotency_key.encode(), None))

    def _remove_stream(self, batch: list[Put], key: bytes) -> None:
        """Take away all records of a task's stream, if it has one."""
        head = self._engine.get("stream", key)
        if head is None:
            return
        batch.append(("stream", key, None))
        with suppress(msgspec.MsgspecError):  # damaged: its slices, if there are any, stay behind
            slices = len(_decode_head(head).starts)
            batch.extend(("stream", keys.slice_key(key, n), None) for n in range(slices))

    # -- reading

    def state(self, task_id: str) -> TaskState | None:
        return self._recent.state(task_id) or self._state(keys.pack(task_id))

    def body(self, task_id: str) -> Body | None:
        recent = self._recent.body(task_id)
        if recent is not None:
            return recent
        value = self._engine.get("body", keys.pack(task_id))
        return None if value is None else _decode_body(value)

    def result(self, task_id: str) -> bytes | None:
        return self._engine.get("result", keys.pack(task_id))

    def refusal(self, task_id: str) -> Refusal | None:
        """What the backend answered to a failed task, if that was kept."""
        value = self._engine.get("result", keys.pack(task_id))
        return None if value is None else _decode_refusal(value)

    def stream(self, task_id: str, offset: int = 0) -> StreamLog | None:
        """Of what the last attempt had generated that ended the task, the slice in which this
        offset lies, or the last one.
        """
        key = keys.pack(task_id)
        value = self._engine.get("stream", key)
        if value is None:
            return None
        head = _decode_head(value)
        number = slice_number(head.starts, offset)
        name = task_id, head.attempt, number
        log = self._slices.get(name)
        if log is None:
            if head.starts:
                value = self._engine.get("stream", keys.slice_key(key, number))
            if value is None:
                raise StoreCorrupt(f"a part of what task {task_id} generated is gone")
            log = self._slices[name] = _decode_stream(value)
        return log

    def claim(self, key: str) -> Claim | None:
        """What this idempotency key was used for, if it was."""
        value = self._engine.get("keys", key.encode())
        return None if value is None else _decode_claim(value)

    def pending(self) -> Iterator[Waiting]:
        """Every pending task, in the order of submission. Reads the index only. StoreCorrupt when
        these are not as many as were counted.
        """
        found = 0
        for key, value in self._scan_status(Status.PENDING):
            found += 1
            yield Waiting(keys.unpack(key[1:]), _decode_place(value))
        if found != self.count(Status.PENDING):
            raise index_disagrees(found, self.count(Status.PENDING))

    def running(self) -> list[TaskState]:
        """The tasks that were running when this store was last written to."""
        return [self._indexed(key[1:]) for key, _ in self._scan_status(Status.RUNNING)]

    def newest(self, filter: TaskFilter) -> Iterator[TaskState]:
        """The tasks that the filter admits, newest first, from below `filter.after`; its limit,
        offset and text are the caller's.
        """
        return self._listed(filter, b"", _key(filter.after, PAST_ANY_ID), reverse=True)

    def oldest(self, filter: TaskFilter) -> Iterator[TaskState]:
        """The same the other way round: from above `filter.after`."""
        low = _key(filter.after, b"") + (b"\0" if filter.after else b"")
        return self._listed(filter, low, PAST_ANY_ID, reverse=False)

    def _listed(
        self, filter: TaskFilter, low: bytes, high: bytes, *, reverse: bool
    ) -> Iterator[TaskState]:
        if filter.statuses:
            lines = [self._listed_of(one, low, high, reverse) for one in filter.statuses]
            states = heapq.merge(*lines, key=lambda state: state.id, reverse=reverse)
        else:
            rows = self._engine.scan("state", low, high, reverse=reverse)
            states = (_decode_state(value) for _, value in rows)
        return (state for state in states if filter.admits(state))

    def oldest_ended(self, limit: int, after: bytes = b"") -> Iterator[tuple[bytes, TaskState]]:
        """The ended tasks, the one that ended first first, each with the place to go on after."""
        for key, _ in islice(self._engine.scan("ended", after, PAST_ANY_END), limit):
            yield key + b"\0", self._indexed(key[8:])

    def _listed_of(
        self, status: Status, low: bytes, high: bytes, reverse: bool
    ) -> Iterator[TaskState]:
        prefix = keys.status_prefix(status)
        left = self._meta.counts[status]  # stop there: what lies beyond is only tombstones
        rows = self._engine.scan("status", prefix + low, prefix + high, reverse=reverse)
        return (self._indexed(key[1:]) for key, _ in islice(rows, left))

    def _scan_status(self, status: Status) -> Iterator[tuple[bytes, bytes]]:
        prefix = keys.status_prefix(status)
        return self._engine.scan("status", prefix, prefix + PAST_ANY_ID)

    def _state(self, key: bytes) -> TaskState | None:
        value = self._engine.get("state", key)
        return None if value is None else _decode_state(value)

    def _indexed(self, key: bytes) -> TaskState:
        state = self._state(key)
        if state is None:
            raise StoreCorrupt(f"the index names task {keys.unpack(key)}, which is gone")
        return state

    def _read_meta(self) -> Meta:
        value = self._engine.get("meta", keys.META_KEY)
        meta = Meta() if value is None else msgspec.msgpack.decode(value, type=Meta)
        if meta.commit < self._engine.mark():
            raise behind_mark(meta.commit, self._engine.mark())
        if meta.format != keys.FORMAT:
            raise StoreCorrupt(
                f"the store has format {meta.format}, this oq reads format {keys.FORMAT};"
                " use the version of oq that wrote it"
            )
        return meta


def _key(task_id: str | None, otherwise: bytes) -> bytes:
    return keys.pack(task_id) if task_id else otherwise


def _merged(steps: Iterable[Step], paused: bool) -> tuple[dict[str, Change | Removal], bool]:
    """The steps by task, those of one task made one: what lies between is never seen on disk. And
    whether dispatch is paused after them.
    """
    merged: dict[str, Change | Removal] = {}
    for step in steps:
        if isinstance(step, SetPaused):
            paused = step.paused
            continue
        task_id = step.state.id
        earlier = merged.get(task_id)
        merged[task_id] = step if earlier is None else _joined(earlier, step)
    return merged, paused


def _joined(earlier: Change | Removal, later: Change | Removal) -> Change:
    assert isinstance(earlier, Change), f"task {later.state.id} changes when it has gone"
    assert isinstance(later, Change), f"task {later.state.id} changes as it goes"
    return Change(
        later.state, earlier.before, later.event, later.data,
        later.body or earlier.body, later.result or earlier.result,
        later.stream or earlier.stream,
        later.fingerprint or earlier.fingerprint,
    )  # fmt: skip

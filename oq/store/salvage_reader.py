"""Reads the tasks of a damaged store, record by record, past those that cannot be read.

A task's records were written in one batch and lie in different files, so each can be lost without
the others. What one of them says of a task's end counts, also where another says less: a task that
has ended does not run again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Protocol, TypeVar

import msgspec
from msgspec.structs import replace

from oq.rules import scope
from oq.rules.slices import PART
from oq.rules.stream_log import StreamLog
from oq.store import keys
from oq.store.decoding import UNDECODABLE
from oq.store.format_one import state_of
from oq.store.keys import ID_BYTES, Meta
from oq.store.ledger import KeyClaim
from oq.store.report import Finding
from oq.store.salvaged_log import SalvagedLog
from oq.words.errors import StoreError
from oq.words.outcome import Refusal
from oq.words.steps import Change, Records
from oq.words.task import ENDED, Body, Status, TaskState

T = TypeVar("T")

PAST_ANY_KEY = b"\xff" * 300
HELD = (
    "held back by `oq salvage`: it may have ended in what the damage took, and would then have run"
    " again; retry it if it is to run"
)

_decode_body = msgspec.msgpack.Decoder(Body).decode
_decode_claim = msgspec.msgpack.Decoder(KeyClaim).decode
_decode_stream = msgspec.msgpack.Decoder(StreamLog).decode
_decode_meta = msgspec.msgpack.Decoder(Meta).decode
_decode_refusal = msgspec.msgpack.Decoder(Refusal).decode
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ENDED_LETTERS = {keys.status_prefix(status): status for status in ENDED}


class Rows(Protocol):
    """A database that can be read; either raises StoreError where it cannot."""

    def get(self, family: str, key: bytes) -> bytes | None: ...

    def scan(
        self, family: str, low: bytes, high: bytes, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]: ...


class SalvageReader:
    """`meta` is the store's own record, None if that cannot be read. The rest is what `tasks` has
    found so far.
    """

    def __init__(self, rows: Rows, logged: SalvagedLog, now: datetime) -> None:
        self._rows = rows
        self._logged = logged
        self._now = now
        self.kept = dict.fromkeys(Status, 0)
        self.lost: list[Finding] = []
        self.changed: list[Finding] = []
        self.unreadable: set[str] = set()
        """What the database said where it could not be read."""
        self.meta = self._read("meta", keys.META_KEY, _decode_meta)

    def tasks(self) -> Iterator[Change]:
        """Each task that can be kept, the oldest first, as the change that writes it."""
        for key in sorted(self._keys()):
            change = self._task(key)
            if change is not None:
                self.kept[change.state.status] += 1
                yield change

    def untied(self) -> dict[bytes, bytes]:
        """What the family `meta` has beside the store's own record, as far as it can be read: rows
        that are of no task that there is, such as the ids of removed tasks and outboxes.
        """
        return {key: value for key, value in self._pairs("meta") if key != keys.META_KEY}

    def _task(self, key: bytes) -> Change | None:
        state = self._read("state", key, state_of)
        if state is None or keys.pack(state.id) != key:
            return self._lose(key, "its record cannot be read")
        if state.status.ended and state.completed_at is None:
            return self._lose(key, "its record is damaged", state.status)
        state = self._as_far_as_it_got(key, state)
        body = self._read("body", key, _decode_body)
        if body is None and state.status is not Status.COMPLETED:
            return self._lose(key, "what it asked for cannot be read", state.status)
        result: bytes | None = None
        refusal: Refusal | None = None
        if state.status is Status.COMPLETED:
            result = self._result(key)
            if result is None and body is None:
                return self._lose(key, "only that it was completed is left", state.status)
            if result is None:
                state = self._change(state, _without_result(state), "its result cannot be read")
            elif body is None:
                self._change(state, state, "what it asked for cannot be read; its result is there")
        elif state.status is Status.FAILED:
            refusal = self._read("result", key, _decode_refusal)
        claim = self._fingerprint(state)
        if claim is None and state.terms.idempotency_key is not None:
            terms = replace(state.terms, idempotency_key=None)
            state = self._change(
                state, replace(state, terms=terms), "its idempotency key cannot be read"
            )
        stream = self._stream(key) if state.status.ended else None
        return Change(
            state, None, None, body=body or Body(b"{}"), result=result, refusal=refusal,
            stream=stream, fingerprint=claim,
        )  # fmt: skip

    def _as_far_as_it_got(self, key: bytes, state: TaskState) -> TaskState:
        """The task as its indexes and the log say that it stands, if they say more."""
        if state.status.ended:
            return state
        ended = self._ended_in_index(key)
        letters = self._logged.named.get(key)
        if ended is not None:
            return self._change(state, self._ended(key, state, ended), "the end is newer than it")
        if letters is not None:
            may_have_ended = not letters or letters[-1:] in _ENDED_LETTERS
            after = self._held(state) if may_have_ended else state
            return self._change(state, after, "its last steps cannot be read")
        if state.status is Status.RUNNING and self._some_ended and key not in self._logged.settled:
            return self._change(state, self._held(state), "fewer tasks were running in the end")
        return state

    def _ended_in_index(self, key: bytes) -> Status | None:
        found = (
            status
            for letter, status in _ENDED_LETTERS.items()
            if self._read("status", letter + key, bytes) is not None
        )
        return next(found, None)

    def _ended(self, key: bytes, state: TaskState, status: Status) -> TaskState:
        error = "the reason is lost: the store was damaged, and salvaged"
        return replace(
            state,
            status=status,
            run_at=None,
            completed_at=self._ends.get(key, self._now),
            error=error if status is Status.FAILED else None,
        )

    def _held(self, state: TaskState) -> TaskState:
        return replace(state, status=Status.FAILED, completed_at=self._now, run_at=None, error=HELD)

    @cached_property
    def _ends(self) -> dict[bytes, datetime]:
        """When the ended tasks ended, by the index of that."""
        return {
            key[8:]: _EPOCH + timedelta(microseconds=int.from_bytes(key[:8], "big"))
            for key in self._scan("ended")
            if len(key) == ID_BYTES + 8
        }

    @cached_property
    def _some_ended(self) -> bool:
        """Whether more tasks are found running than were, those aside that the log names."""
        if self.meta is None:
            return False
        running = keys.status_prefix(Status.RUNNING)
        found = {key[1:] for key in self._scan("status") if key[:1] == running}
        return len(found - self._logged.named.keys()) > self.meta.counts[Status.RUNNING]

    def _lose(self, key: bytes, why: str, status: Status | None = None) -> Change | None:
        task_id = keys.unpack(key)
        while self.changed and self.changed[-1].task_id == task_id:
            self.changed.pop()
        status = status or self._listed_as(key)
        self.lost.append(Finding(task_id, why, status))
        return None

    def _listed_as(self, key: bytes) -> Status | None:
        found = (
            status
            for status in Status
            if self._read("status", keys.status_key(status, key), bytes) is not None
        )
        return next(found, None)

    def _change(self, before: TaskState, after: TaskState, why: str) -> TaskState:
        became = "" if after.status is before.status else f"; it is kept as {after.status}"
        self.changed.append(Finding(before.id, why + became, before.status))
        return after

    def _result(self, key: bytes) -> bytes | None:
        """Its result, in one piece."""
        result = self._read("result", key, bytes)
        if result != keys.IN_PARTS:
            return result
        head = self._read("stream", key, _decode_stream)
        count = 0 if head is None else head.parts  # a head has no chunks, and so is false
        names = [keys.slice_key(key, PART + number) for number in range(count)]
        parts = [self._read("stream", name, _decode_stream) for name in names]
        frames = [frame for part in parts if part is not None for frame in part.frames]
        return b"".join(frames) if parts and None not in parts else None

    def _stream(self, key: bytes) -> Records | None:
        """The records of what it generated; none if any of them cannot be read."""
        head = self._read("stream", key, _decode_stream)
        if head is None:
            return None
        slices: list[tuple[int, bytes]] = []
        for number in range(len(head.starts)):
            record = self._read("stream", keys.slice_key(key, number), _whole_stream)
            if record is None:
                return None
            slices.append((number, record))
        # The parts of a result are put together: see `_result`.
        return Records(msgspec.msgpack.encode(replace(head, parts=0)), tuple(slices))

    def _fingerprint(self, state: TaskState) -> bytes | None:
        """What the task's idempotency key was used for."""
        name = scope.claim_name(state.terms)
        claim = None if name is None else self._read("keys", name.encode(), _decode_claim)
        return None if claim is None else claim.fingerprint

    def _keys(self) -> set[bytes]:
        """The key of every task of which there is a trace."""
        found = {key for family in ("state", "body", "result") for key in self._scan(family)}
        found.update(key[1:] for key in self._scan("status"))
        found.update(self._logged.named)
        return {key for key in found if len(key) == ID_BYTES}

    def _scan(self, family: str) -> Iterator[bytes]:
        """The keys of a family, from either end as far as they can be read."""
        return (key for key, _ in self._pairs(family))

    def _pairs(self, family: str) -> Iterator[tuple[bytes, bytes]]:
        """The same with what stands under them."""
        for reverse in (False, True):
            try:
                yield from self._rows.scan(family, b"", PAST_ANY_KEY, reverse=reverse)
            except StoreError as error:
                self.unreadable.add(str(error))
                continue
            return

    def _read(self, family: str, key: bytes, decode: Callable[[bytes], T]) -> T | None:
        try:
            value = self._rows.get(family, key)
            return None if value is None else decode(value)
        except StoreError as error:
            self.unreadable.add(str(error))
        except UNDECODABLE:
            self.unreadable.add(f"a record of the family {family}")
        return None


def _without_result(state: TaskState) -> TaskState:
    """A completed task whose result is lost has failed, after all; its user may try it again."""
    error = "its result was lost: the store was damaged, and salvaged"
    return replace(state, status=Status.FAILED, error=error)


def _whole_stream(value: bytes) -> bytes:
    _decode_stream(value)
    return value

"""What can be read of a damaged store: record by record, past those that cannot."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

import msgspec

from oq.rules import keys
from oq.rules.keys import Meta
from oq.rules.pieces import StreamLog
from oq.store.engine import Engine
from oq.store.store import Claim
from oq.words.errors import StoreError
from oq.words.messages import Change
from oq.words.task import Body, Status, TaskState

T = TypeVar("T")

PAST_ANY_KEY = b"\xff" * 300
ID_BYTES = 16

_decode_state = msgspec.msgpack.Decoder(TaskState).decode
_decode_body = msgspec.msgpack.Decoder(Body).decode
_decode_claim = msgspec.msgpack.Decoder(Claim).decode
_decode_stream = msgspec.msgpack.Decoder(StreamLog).decode
_decode_meta = msgspec.msgpack.Decoder(Meta).decode


class Traces:
    """`meta` is the store's own record, or an empty one; `kept` and `dropped` count the tasks that
    `tasks` has given, and those that it could not.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.meta = self._read("meta", keys.META_KEY, _decode_meta) or Meta()
        self.kept = dict.fromkeys(Status, 0)
        self.dropped = 0

    def tasks(self) -> Iterator[Change]:
        """Each task that can be kept, the oldest first, as the change that writes it."""
        for key in sorted(self._keys()):
            change = self._task(key)
            if change is None:
                self.dropped += 1
            else:
                self.kept[change.state.status] += 1
                yield change

    def _task(self, key: bytes) -> Change | None:
        state = self._read("state", key, _decode_state)
        if state is None or keys.pack(state.id) != key:
            return None
        if state.status.ended and state.completed_at is None:
            return None
        body = self._read("body", key, _decode_body)
        if body is None and not state.status.ended:
            return None  # it could never run
        result = None
        if state.status is Status.COMPLETED:
            result = self._read("result", key, bytes)
            if result is None:
                state = _without_result(state)
        mark = self._fingerprint(state)
        if mark is None:
            state = msgspec.structs.replace(state, idempotency_key=None)
        stream = self._read("stream", key, _whole_stream)
        return Change(
            state, None, None, body=body or Body(b"{}"), result=result, stream=stream,
            fingerprint=mark,
        )  # fmt: skip

    def _fingerprint(self, state: TaskState) -> bytes | None:
        """What the task's idempotency key was used for."""
        if state.idempotency_key is None:
            return None
        claim = self._read("keys", state.idempotency_key.encode(), _decode_claim)
        return None if claim is None else claim.fingerprint

    def _keys(self) -> set[bytes]:
        """The key of every task of which there is a trace."""
        found = {key for family in ("state", "body") for key in self._scan(family)}
        found.update(key[1:] for key in self._scan("status"))
        return {key for key in found if len(key) == ID_BYTES}

    def _scan(self, family: str) -> Iterator[bytes]:
        """The keys of a family, from either end as far as they can be read."""
        for reverse in (False, True):
            try:
                for key, _ in self._engine.scan(family, b"", PAST_ANY_KEY, reverse=reverse):
                    yield key
            except StoreError:
                continue
            return

    def _read(self, family: str, key: bytes, decode: Callable[[bytes], T]) -> T | None:
        try:
            value = self._engine.get(family, key)
            return None if value is None else decode(value)
        except (StoreError, msgspec.MsgspecError):
            return None


def _without_result(state: TaskState) -> TaskState:
    """A completed task whose result is lost has failed, after all; its user may try it again."""
    error = "its result was lost: the store was damaged, and salvaged"
    return msgspec.structs.replace(state, status=Status.FAILED, error=error)


def _whole_stream(value: bytes) -> bytes:
    _decode_stream(value)
    return value

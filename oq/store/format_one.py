"""The records of format 1 that are others in format 2. Only migration and salvage meet them."""

from __future__ import annotations

from datetime import datetime

import msgspec
from msgspec import Struct

from oq.words.task import Attempt, Status, TaskState, TaskType, Usage
from oq.words.terms import Terms


class _State(Struct, frozen=True, kw_only=True):
    """The terms of a task stood among its other fields; `run_at` was that of its user until the
    first start, and then that of a retry.
    """

    id: str
    type: TaskType
    model: str
    priority: int
    status: Status = Status.PENDING
    created_at: datetime
    started_at: datetime | None = None
    completed_at: datetime | None = None
    run_at: datetime | None = None
    error: str | None = None
    retry_count: int = 0
    max_retries: int
    deaths: int = 0
    timeout: float | None = None
    attempts: tuple[Attempt, ...] = ()
    usage: Usage | None = None
    metadata: bytes | None = None
    idempotency_key: str | None = None
    awaited: bool = False


class PlaceOne(Struct, frozen=True, array_like=True):
    """A line of the index of pending tasks. It did not say the model."""

    priority: int
    run_at: datetime | None = None
    retrying: bool = False
    delay: float | None = None


_decode_one = msgspec.msgpack.Decoder(_State).decode
_decode = msgspec.msgpack.Decoder(TaskState).decode


def state_of(record: bytes) -> TaskState:
    """The state in a record of format 1 or 2. Raises what msgspec raises when it is of neither."""
    try:
        return _decode(record)
    except msgspec.ValidationError:
        return _upgraded(_decode_one(record))


def _upgraded(one: _State) -> TaskState:
    return TaskState(
        id=one.id,
        type=one.type,
        terms=Terms(
            model=one.model,
            priority=one.priority,
            max_retries=one.max_retries,
            run_at=one.run_at if one.retry_count == 0 else None,
            timeout=one.timeout,
            metadata=one.metadata,
            idempotency_key=one.idempotency_key,
        ),
        status=one.status,
        created_at=one.created_at,
        started_at=one.started_at,
        completed_at=one.completed_at,
        run_at=one.run_at,
        error=one.error,
        retry_count=one.retry_count,
        deaths=one.deaths,
        attempts=one.attempts,
        usage=one.usage,
        awaited=one.awaited,
    )

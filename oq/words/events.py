"""What subscribers are told: a task's life, one event a step."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from msgspec import Struct

from oq.words.task import Readable, Status


class EventType(StrEnum):
    """The kinds of event. `TASK_PROGRESS` is only sent to those who ask for it by name."""

    TASK_SUBMITTED = "task_submitted"
    TASK_STARTED = "task_started"
    TASK_COMPLETED = "task_completed"
    TASK_FAILED = "task_failed"
    TASK_RETRYING = "task_retrying"
    TASK_CANCELLED = "task_cancelled"
    PRIORITY_UPDATED = "priority_updated"
    TASK_PROGRESS = "task_progress"

    __hash__ = str.__hash__  # see Status


class Event(Readable, Struct, frozen=True, omit_defaults=True, gc=False):
    """One step of one task.

    `seq` grows by one with each event and goes on growing over restarts; progress events, which
    are not kept, repeat the seq of the last one that is. `data` is small: a priority, an error,
    a retry's `run_at`, the tokens so far; never a payload or a result.
    """

    seq: int
    task_id: str
    type: EventType
    status: Status
    timestamp: datetime
    data: dict[str, Any] | None = None


class Lagged(Readable, Struct, frozen=True, tag_field="type", tag="lagged"):
    """A reader fell behind and `missed` this many events; it goes on from now."""

    missed: int

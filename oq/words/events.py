"""What subscribers receive: one event for each step of a task."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from msgspec import Struct

from oq.words.task import Readable, Status


class EventType(StrEnum):
    """The types of events. Only subscribers that ask for `task_progress` receive it."""

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

    `seq` is a number that grows by one with each event, also over restarts. Progress events have no
    number of their own: they repeat the `seq` of the event before them. `status` is the task's
    status after this step. `data` has the details: the priority, the error, the `run_at` of a
    retry, the number of tokens so far. It never has the payload or the result.
    """

    seq: int
    task_id: str
    type: EventType
    status: Status
    timestamp: datetime
    data: dict[str, Any] | None = None


class Lagged(Readable, Struct, frozen=True, tag_field="type", tag="lagged"):
    """A subscriber was too slow: it missed `missed` events. It gets the events after them."""

    missed: int

"""What the actors say to each other.

A task's way: `Commit` to the writer; once it is on disk, `Committed` to the scheduler and the hub;
`Job` to the worker pool; the attempt's end as another `Commit`, and `Freed` to the scheduler.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import trio

from oq.words.events import Event, EventType
from oq.words.task import Body, Status, TaskState


@dataclass(frozen=True, slots=True)
class Change:
    """One task's step, to be made durable: where it stands now, and where it stood.

    `before` is None for a new task, `event` is what subscribers are told (None: nothing), `data`
    goes with it. `body` comes with a new task, `result` with a completed one.
    """

    state: TaskState
    before: Status | None
    event: EventType | None
    data: dict[str, object] | None = None
    body: Body | None = None
    result: bytes | None = None
    fingerprint: bytes | None = None
    """What the idempotency key of a new task was used for."""


@dataclass(frozen=True, slots=True)
class Removal:
    """An ended task that is to be forgotten."""

    state: TaskState


Step = Change | Removal


class Receipt:
    """The writer's answer: the commit is on disk, or why it is not."""

    __slots__ = ("_done", "_error")

    def __init__(self) -> None:
        self._done = trio.Event()
        self._error: Exception | None = None

    def settle(self, error: Exception | None = None) -> None:
        self._error = error
        self._done.set()

    async def wait(self) -> None:
        """Return once it is on disk; raise what kept it from getting there."""
        await self._done.wait()
        if self._error is not None:
            raise self._error


@dataclass(frozen=True, slots=True)
class Commit:
    """Steps that reach the disk together or not at all.

    One with a receipt is answered, with an error if it cannot be written. One without is never
    dropped: it says what has already happened, and is tried again until it can be written.
    """

    steps: list[Step]
    receipt: Receipt | None = None


@dataclass(frozen=True, slots=True)
class Committed:
    """What has just become durable, in order."""

    changes: list[Change]
    events: list[Event]


@dataclass(frozen=True, slots=True)
class Due:
    """The time of these delayed tasks has come."""

    task_ids: list[str]


@dataclass(frozen=True, slots=True)
class Freed:
    """A running task has stopped running: its slot is free. `down` says why its backend is."""

    task_id: str
    backend: str
    down: str | None = None


@dataclass(frozen=True, slots=True)
class BackendUp:
    """A backend that was down answers again."""

    backend: str


@dataclass(frozen=True, slots=True)
class Job:
    """A task that is to run now, on this backend."""

    task_id: str
    backend: str


@dataclass(frozen=True, slots=True)
class Delay:
    """A task that may not run before `run_at`."""

    task_id: str
    run_at: datetime

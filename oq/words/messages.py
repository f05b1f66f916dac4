"""What the actors say to each other.

A task's way: `Commit` to the writer; once it is on disk, `Committed` to the scheduler and the hub;
`Dispatch` to the worker pool; the attempt's end as another `Commit`, and `Freed` to the scheduler.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime
from enum import StrEnum
from typing import TypeVar

import trio
from msgspec import Struct

from oq.words.events import Event, EventType
from oq.words.task import Body, Status, TaskState

T = TypeVar("T")


class Records(Struct, frozen=True, gc=False):
    """What is new of a task's log, as it is stored (see `oq.rules.slices`): its head, and others,
    each with its number.
    """

    head: bytes
    others: tuple[tuple[int, bytes], ...] = ()


IN_PARTS = b"parts"
"""Stands in the place of a result that is so long that it lies in parts beside the task's log. No
JSON begins like this."""


class Change(Struct, frozen=True, gc=False):
    """One task's step, to be made durable: where it stands now, and where it stood.

    `before` is None for a new task, `event` is what subscribers are told (None: nothing), `data`
    goes with it. `body` comes with a new task, `result` with a completed one (with a failed one it
    is the backend's `Refusal`, encoded), and `stream` with an ended one that has generated
    something.
    """

    state: TaskState
    before: Status | None
    event: EventType | None
    data: dict[str, object] | None = None
    body: Body | None = None
    result: bytes | None = None
    stream: Records | None = None
    fingerprint: bytes | None = None
    """What the idempotency key of a new task was used for."""
    due: datetime | None = None
    """The time for which a task that is started now had waited, if it did; its record has it no
    longer."""


class Ahead(Struct, frozen=True, gc=False):
    """A part of what a task that runs has generated, or of its result, which is so long that it is
    written before the task's end.
    """

    task_id: str
    records: Records


class Removal(Struct, frozen=True, gc=False):
    """An ended task that is to be forgotten. `retired` is when retention removed it, which is told
    to those who ask for it later; None when its user did.
    """

    state: TaskState
    retired: datetime | None = None


class ResultsRead(Struct, frozen=True, gc=False):
    """The results of these tasks were read: they are kept no longer for that."""

    task_ids: frozenset[str]


class IdsForgotten(Struct, frozen=True, gc=False):
    """Of these removed tasks not even the id is to be known any more."""

    task_ids: tuple[str, ...]


class SetPaused(Struct, frozen=True, gc=False):
    """Dispatch stops, or goes on; it is stored, so that a restart does not undo it."""

    paused: bool


Step = Change | Ahead | Removal | SetPaused | ResultsRead | IdsForgotten
OF_ONE_TASK = (Change, Removal)
"""The steps of a single task, for `isinstance`: with a union it takes seven times as long. To find
that a struct is *not* of a class takes ten times as long as to find that it is, so on the way of a
task the usual class is asked for first.
"""


async def put(channel: trio.MemorySendChannel[T], message: T) -> None:
    """Send the message, without giving way to other tasks while there is room: on the way of a task
    each switch would cost more than all that is done between two of them.
    """
    try:
        channel.send_nowait(message)
    except trio.WouldBlock:
        await channel.send(message)


async def take(channel: trio.MemoryReceiveChannel[T]) -> list[T]:
    """All the messages that wait, once there is one; none when every sender has closed.

    Receiving them one by one would give way to other tasks in between, each time: an actor would
    then do one small thing per turn of the event loop, and so would all who wait for it.
    """
    try:
        messages = [await channel.receive()]
    except trio.EndOfChannel:
        return []
    with suppress(trio.WouldBlock, trio.EndOfChannel):
        while True:
            messages.append(channel.receive_nowait())
    return messages


class Receipt:
    """The answer to who waits: it is on disk, or why it is not.

    `on_written` is called when it is written, though not yet for certain, or refused; `on_settled`
    when it is answered, also if nobody waits any more.
    """

    __slots__ = ("_done", "_error", "_on_settled", "_on_written")

    def __init__(
        self,
        *,
        on_written: Callable[[], object] | None = None,
        on_settled: Callable[[], object] | None = None,
    ) -> None:
        self._done = trio.Event()
        self._error: Exception | None = None
        self._on_written = on_written
        self._on_settled = on_settled

    def written(self) -> None:
        if self._on_written is not None:
            self._on_written()
            self._on_written = None

    def settle(self, error: Exception | None = None) -> None:
        """Answer. The first answer holds."""
        if self._done.is_set():
            return
        self._error = error
        self._done.set()
        self.written()
        if self._on_settled is not None:
            self._on_settled()

    @property
    def settled(self) -> bool:
        """Whether it is answered."""
        return self._done.is_set()

    @property
    def error(self) -> Exception | None:
        """Why it is not on disk, once it is answered."""
        return self._error

    async def wait(self) -> None:
        """Return once it is on disk; raise what kept it from getting there."""
        await self._done.wait()
        if self._error is not None:
            raise self._error


class Verb(StrEnum):
    """What a user may ask of one task."""

    CANCEL = "cancel"
    PRIORITY = "priority"
    RETRY = "retry"
    DELETE = "delete"


class Command:
    """A user's wish about one task; the scheduler answers when it is on disk, or cannot be."""

    __slots__ = ("priority", "receipt", "retired", "stopped_it", "task_id", "verb")

    def __init__(
        self, verb: Verb, task_id: str, priority: int = 0, *, retired: bool = False
    ) -> None:
        self.verb = verb
        self.task_id = task_id
        self.priority = priority
        self.receipt = Receipt()
        self.retired = retired  # a delete by retention
        self.stopped_it = False  # a cancel that found its task running


class BulkCommand:
    """A wish about many tasks, each of them named once; answered when all of it is on disk, or
    cannot be. `refused` says of which tasks it could not be carried out, and why.
    """

    __slots__ = ("_open", "priority", "receipt", "refused", "retired", "verb")

    def __init__(
        self, verb: Verb, task_ids: Iterable[str], priority: int = 0, *, retired: bool = False
    ) -> None:
        self.verb = verb
        self.priority = priority
        self.receipt = Receipt()
        self.refused: dict[str, Exception] = {}
        self.retired = retired
        self._open = dict.fromkeys(task_ids)  # as ordered as a list, and quick to take out of

    @property
    def left(self) -> list[str]:
        """The tasks for which there is no answer yet."""
        return list(self._open)

    def of(self, task_id: str) -> Command:
        """The wish about this task alone, for when its turn comes later."""
        command = Command(self.verb, task_id, self.priority, retired=self.retired)
        receipt = Receipt(on_settled=lambda: self.answer(task_id, receipt.error))
        command.receipt = receipt
        return command

    def answer(self, task_id: str, error: Exception | None = None) -> None:
        """It is done for this task, or why it is not. The first answer holds."""
        if task_id not in self._open:
            return
        del self._open[task_id]
        if error is not None:
            self.refused[task_id] = error
        if not self._open:
            self.receipt.settle()

    def give_up(self, error: Exception) -> None:
        """Whatever has no answer yet has this one."""
        for task_id in self.left:
            self.answer(task_id, error)


class Pause:
    """The user's wish that dispatch stops, or goes on."""

    __slots__ = ("paused", "receipt")

    def __init__(self, paused: bool) -> None:
        self.paused = paused
        self.receipt = Receipt()


class Drain:
    """Nothing more is to start; answered when nothing runs any more."""

    __slots__ = ("receipt",)

    def __init__(self) -> None:
        self.receipt = Receipt()


class Commit(Struct, frozen=True, gc=False):
    """Steps that reach the disk together or not at all.

    One with a receipt is answered, with an error if it cannot be written. One without is never
    dropped: it says what has already happened, and is tried again until it can be written. A
    `patient` one, which nobody waits for, may be held for a moment to share its sync with another.
    """

    steps: list[Step]
    receipt: Receipt | None = None
    patient: bool = False


class Committed(Struct, frozen=True):
    """What has just become durable, in order, and what subscribers are told of it.

    The scheduler settles the receipts, once it has taken the steps in: who is answered finds
    everything as the answer says, its place in line too.
    """

    steps: list[Step]
    events: list[Event]
    receipts: list[Receipt]


class Due(Struct, frozen=True):
    """The time of these delayed tasks has come."""

    delays: list[Delay]


class Freed(Struct, frozen=True, gc=False):
    """A running task has stopped running: its slot is free. `down` says why its backend is."""

    task_id: str
    backend: str
    down: str | None = None


class BackendUp(Struct, frozen=True):
    """A backend that was down answers again."""

    backend: str


class BackendDown(Struct, frozen=True):
    """A backend does not answer, and why."""

    backend: str
    reason: str


class Job(Struct, frozen=True, gc=False):
    """A task that is to run now, on this backend."""

    task_id: str
    backend: str


class Dispatch(Struct, frozen=True):
    """What is to start now, in this order."""

    jobs: list[Job]


class Abort(Struct, frozen=True, gc=False):
    """A running task is to stop, because its user cancelled it."""

    task_id: str


class Delay(Struct, frozen=True, gc=False):
    """A task that may not run before `run_at`: a retry, or one whose user wants that. A retry waits
    for `at_most` so many seconds, whatever the clock says.
    """

    task_id: str
    run_at: datetime
    retrying: bool = False
    at_most: float | None = None

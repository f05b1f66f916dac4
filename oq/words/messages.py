"""The messages that actors send to each other.

The way of a task: `Commit` to the writer; once it is on disk, `Committed` to the scheduler and the
hub; `Dispatch` to the worker pool; the end of the attempt as another `Commit`, and `Freed` to the
scheduler.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from oq.words.events import Event
from oq.words.receipts import Receipt
from oq.words.sample import Sample
from oq.words.steps import Step
from oq.words.views import BackendFacts


class Verb(StrEnum):
    """The actions on a task."""

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
    """The user's wish that dispatch stops, or goes on; with a `model`, that of its tasks alone."""

    __slots__ = ("model", "paused", "receipt")

    def __init__(self, paused: bool, model: str | None = None) -> None:
        self.paused = paused
        self.model = model
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
    """What has just become durable, in order, and what subscribers are told of it: the events, and
    the owner of the task that each is about.

    The scheduler settles the receipts, once it has taken the steps in: who is answered finds
    everything as the answer says, its place in line too.
    """

    steps: list[Step]
    events: list[Event]
    owners: list[str | None]
    receipts: list[Receipt]


class Due(Struct, frozen=True):
    """The time of these delayed tasks has come."""

    delays: list[Delay]


class Busy(Struct, frozen=True, gc=False):
    """A backend that takes no task now, and why. `seconds` is for how long, if it says so."""

    reason: str
    seconds: float | None = None


class Ended(Struct, frozen=True, kw_only=True):
    """How an attempt ended, as far as it says something of its backend.

    `served`: it was answered to its end. `failed` says how the backend failed at it, `begun` that
    it had begun to answer, `down` why the backend is down. `busy` and `lacks`, that it has not the
    model, say why it could not take the task. `sample` says how a watched task was served. `cost`
    is that of a counted one, if it is known: its tokens, the generated ones twice.
    """

    served: bool = False
    failed: str | None = None
    begun: bool = False
    down: str | None = None
    busy: Busy | None = None
    lacks: bool = False
    sample: Sample | None = None
    cost: int | None = None


SERVED = Ended(served=True)


class Freed(Struct, frozen=True, gc=False):
    """A running task has stopped running: its slot is free."""

    task_id: str
    backend: str
    ended: Ended = SERVED


class Stays(Struct, frozen=True, gc=False):
    """A task that was to come back goes on: somebody has seen a part of its answer."""

    task_id: str


class Answered(Struct, frozen=True, gc=False):
    """The answer to a watched task has begun, or one of a model that was wedged goes on."""

    task_id: str


class Wedged(Struct, frozen=True, gc=False):
    """No task of this model produces anything any more on this backend, though it answers. Of those
    that run this one will end first.
    """

    backend: str
    model: str
    task_id: str


class BackendUp(Struct, frozen=True):
    """A backend that was down answers again."""

    backend: str


class BackendDown(Struct, frozen=True):
    """A backend does not answer, and why."""

    backend: str
    reason: str


class BackendSays(Struct, frozen=True):
    """What a backend says of itself; with `full` also which models it has, if it says that. It was
    asked at `asked_at`, in trio's time: the answer may be older than what has happened since.
    """

    backend: str
    facts: BackendFacts
    asked_at: float
    full: bool = True


class AskAgain(Struct, frozen=True):
    """All backends are to be asked which models they have, or one of which they have `changed`. The
    receipt is settled when it is known.
    """

    receipt: Receipt
    changed: str | None = None


class Look(Struct, frozen=True):
    """A backend is to be asked what it says of itself: with `down` once it answers again, with
    `full` also which models it has.
    """

    backend: str
    down: bool = False
    full: bool = False


class Job(Struct, frozen=True, gc=False):
    """A task that is to run now, on this backend. `watched`: the scheduler is to be told when its
    answer begins, and how it was served. `elsewhere`: another backend may have its model too.
    `canary`: it is tried while tasks fail there, and spends no retry if it fails. `counted`: the
    scheduler is to be told what it cost. `suspect`: it may be why the backend is busy.
    """

    task_id: str
    backend: str
    watched: bool = False
    elsewhere: bool = False
    canary: bool = False
    counted: bool = False
    suspect: bool = False


class Dispatch(Struct, frozen=True):
    """What is to start now, in this order. It is sent once for each job, so that a worker wakes for
    each: the first of them takes out all that is in it.
    """

    jobs: list[Job]


class Abort(Struct, frozen=True, gc=False):
    """A running task is to stop, because its user cancelled it."""

    task_id: str


class Recall(Struct, frozen=True, gc=False):
    """A task is to come back to its place, if its answer has not begun; with `answered`, if nobody
    has seen anything of that.
    """

    task_id: str
    answered: bool = False


class Delay(Struct, frozen=True, gc=False):
    """A task that may not run before `run_at`: a retry, or one whose user wants that. A retry waits
    for `at_most` so many seconds, whatever the clock says.
    """

    task_id: str
    run_at: datetime
    retrying: bool = False
    at_most: float | None = None

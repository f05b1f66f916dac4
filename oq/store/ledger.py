"""What the queue asks of whatever keeps its tasks.

A ledger has one user at a time: the queue that has opened it. Its verbs are of the queue's own
words (a step, a task's record, the tasks that wait), so a ledger may be a directory on this machine
or a server. They are async because a ledger may have to wait; one that can answer at once does so,
without giving way to other tasks.

Two rules hold for every ledger:

- `commit` returns when all of its steps are safe: no power cut takes them back. They are kept all
  or none. `Ledger` itself sees steps as soon as they are written, for those who decide what happens
  next. `Durable` sees them when they are safe, for all that users are told.
- A record that cannot be read is the trouble of its task alone: that task is shown as damaged, and
  no listing, start or clean-up stops at it.

An actor that follows the steps of tasks, and must miss none of them though the process may end at
any time, uses an outbox:

1. `oq.rules.outboxes` lists its `Outbox`: a name, and a function of the step that gives rows.
   `commit` keeps the rows with their step, all or none.
2. The actor reads with `durable.rows` what is not settled yet: at its start from the first row on,
   then, whenever the hub tells of a commit (`Hub.observe`), from behind the last row that it has
   seen.
3. What it has worked off it settles: it sends a `RowsSettled` to the writer, as any other step. A
   row that is read and not settled comes again after a restart.

Rows outlive their tasks, and salvage keeps them as they are.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from datetime import datetime
from enum import IntFlag
from typing import Protocol

from msgspec import Struct

from oq.rules.facts import Facts
from oq.rules.filters import TaskFilter
from oq.rules.place import Place
from oq.rules.retention import Ended
from oq.rules.stream_log import StreamLog
from oq.store.running_page import RunningPage
from oq.words.errors import NotFound
from oq.words.outcome import Refusal
from oq.words.steps import Step
from oq.words.task import Body, TaskState


class KeyClaim(Struct, frozen=True, array_like=True):
    """What an idempotency key was used for: which task, and the fingerprint of what was asked."""

    task_id: str
    fingerprint: bytes


class Gone(Struct, frozen=True, gc=False):
    """A task that retention removed, and when."""

    task_id: str
    at: datetime


class Row(Struct, frozen=True, gc=False):
    """What a step has left in an outbox. The numbers of an outbox grow, also over restarts."""

    number: int
    content: bytes


class Waiting(Struct, frozen=True, gc=False):
    """A pending task, as recovery finds it."""

    task_id: str
    place: Place


class Parts(IntFlag):
    """What of a task is read beside its state: what it asks for, its result or refusal, or both."""

    STATE = 0
    BODY = 1
    ENDING = 2
    ALL = 3


class Record(Struct, frozen=True, gc=False):
    """What is kept of a task, as far as it was asked for and can be read. `problems` says why the
    rest cannot: what is missing without one is not there. `result` (JSON) is that of a completed
    task, `refusal` what the backend answered to a failed one.
    """

    state: TaskState
    body: Body | None = None
    result: bytes | None = None
    refusal: Refusal | None = None
    problems: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of the documents in it."""
        body = self.body
        asked = 0 if body is None else len(body.payload) + len(body.options)
        return asked + len(self.result or b"") + len(self.state.terms.metadata or b"")


class Want(Struct, frozen=True, gc=False):
    """What one look through the tasks is to give, at most: `tasks` of them, with `size` bytes of
    documents, after looking at `rows`, and at `searched` bytes of payloads for a text.
    """

    parts: Parts
    tasks: int
    size: int
    rows: int
    searched: int


class Slice(Struct, frozen=True, gc=False):
    """What one look through the tasks has found: in order, all that the filter admits up to `last`,
    the task that was looked at last. It looked at `rows`, and read `searched` bytes for a text.

    `over`: there are no more. `full`: there is another, for which there was no room. Neither: the
    look ended so that others have their turn, or what was wanted at most is reached.
    """

    records: list[Record]
    last: TaskState | None
    rows: int
    searched: int
    over: bool = False
    full: bool = False


class Durable(Protocol):
    """Reads for all that users are told: they show nothing that a power cut could take back. Where
    that would show half of a step under way, they wait for it; Unavailable when a commit has failed
    and nobody will know any more.
    """

    @property
    def facts(self) -> Facts: ...

    async def state(self, task_id: str) -> TaskState:
        """Where the task stands. NotFound, or Removed."""
        ...

    async def record(self, task_id: str, parts: Parts = Parts.ALL) -> Record:
        """What is kept of it but its stream. NotFound, or Removed."""
        ...

    async def stream(self, task_id: str, offset: int) -> tuple[TaskState, StreamLog | None]:
        """Where the task stands and, if it has ended, what its last attempt generated: the slice in
        which this offset lies, or the last one; None if it generated nothing. NotFound, Removed,
        StoreCorrupt.
        """
        ...

    async def look(self, filter: TaskFilter, after: str | None, want: Want) -> Slice:
        """Look through the tasks, the newest or the oldest first as the filter says, from behind
        the one with the id `after`. The limit, the offset and `after` of the filter are not used.
        """
        ...

    async def look_at(self, task_ids: Iterable[str], filter: TaskFilter, want: Want) -> Slice:
        """The same for these tasks, in this order; those that are gone are passed over."""
        ...

    async def ids(self, filter: TaskFilter, after: str | None, most: int) -> list[str]:
        """The ids of the tasks in the filter's states, in its order, from behind `after`. Nothing
        else of the filter is used.
        """
        ...

    async def rows(self, outbox: str, after: int, most: int) -> list[Row]:
        """The rows of this outbox that are not settled, in the order of their steps, from behind
        the one with the number `after` (0: from the first).
        """
        ...


class Ledger(Protocol):
    """The tasks of one queue. Its own reads see every step that was written, safe or not."""

    running_page: RunningPage
    """The tasks that backends have, as far as that outlives the process."""

    @property
    def durable(self) -> Durable:
        """What users may be told."""
        ...

    @property
    def facts(self) -> Facts: ...

    # -- opening and closing

    async def enter(self, *, simulated: bool) -> None:
        """Say whether the tasks are to run on simulated backends. StoreError when those that this
        ledger ever had are of the other kind: nobody is to take an answer that was made up for a
        real one. It is kept with the first task.
        """
        ...

    async def close(self) -> None:
        """Have safe what is written, and let go."""
        ...

    # -- writing

    async def commit(self, steps: Sequence[Step], event_seq: int) -> None:
        """Keep these steps, all or none; `event_seq` is the number of the last event after them.
        Return when they are safe. One commit at a time.

        StoreFull: nothing of it is kept, and it may be tried again. Any other StoreError is final:
        it is not known what is safe. AssertionError when a step cannot have happened, as far as the
        counts tell: nothing of it is kept.
        """
        ...

    # -- reading, one task

    async def state(self, task_id: str) -> TaskState:
        """Where the task stands. NotFound, or Removed."""
        ...

    async def states(self, task_ids: Iterable[str]) -> Mapping[str, TaskState | NotFound]:
        """The same for many, with the error of each that is not there."""
        ...

    async def body(self, task_id: str) -> Body | None:
        """What it asks for. StoreCorrupt."""
        ...

    async def stream(self, task_id: str, offset: int) -> StreamLog | None:
        """Of what its last attempt has generated, as far as it is written, the slice in which this
        offset lies, or the last one. StoreCorrupt.
        """
        ...

    async def claim(self, name: str) -> KeyClaim | None:
        """What the idempotency key that has this name was used for, if it was (see
        `oq.rules.scope.claim_name`). StoreCorrupt.
        """
        ...

    async def learnt(self) -> dict[str, bytes]:
        """What oq has learnt of its backends, by their names, as the last `Learnt` of each said it.
        It is there to save time, so what of it cannot be read is left out. Who opens the ledger has
        it forget the backends that are no more: nobody else counts them.
        """
        ...

    async def kept(self) -> dict[str, bytes]:
        """The records of what happened lately, by their names, as the last `Kept` of each said it.
        They are no more than charts show, so what of them cannot be read is left out.
        """
        ...

    # -- reading, many

    def waiting(self) -> AsyncGenerator[Sequence[Waiting]]:
        """Every pending task, in the order of submission, some at a time. StoreCorrupt when these
        are not as many as were counted.
        """
        ...

    async def running(self) -> list[TaskState]:
        """The tasks that run, or ran when the process ended."""
        ...

    async def oldest_ended(self, most: int, start: bytes = b"") -> list[Ended]:
        """The ended tasks from this place on, the one that ended first first."""
        ...

    async def oldest_gone(self, most: int) -> list[Gone]:
        """The removed tasks whose ids are still known, the one that was submitted first first."""
        ...

"""The steps of tasks: what the writer makes durable."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from oq.words.events import EventType
from oq.words.outcome import Refusal
from oq.words.task import Body, Status, TaskState


class Records(Struct, frozen=True, gc=False):
    """What is new of a task's log, as it is stored (see `oq.rules.slices`): its head, and others,
    each with its number.
    """

    head: bytes
    others: tuple[tuple[int, bytes], ...] = ()


class InParts(Struct, frozen=True, gc=False):
    """Stands in the place of a result that is so long that it was written before the task's end, in
    parts.
    """


class Change(Struct, frozen=True, gc=False):
    """One task's step, to be made durable: where it stands now, and where it stood.

    `before` is None for a new task, `event` is what subscribers are told (None: nothing), `data`
    goes with it. `body` comes with a new task, `result` (JSON) with a completed one, `refusal` with
    a failed one whose backend has said something, and `stream` with an ended one that has generated
    something.
    """

    state: TaskState
    before: Status | None
    event: EventType | None
    data: dict[str, object] | None = None
    body: Body | None = None
    result: bytes | InParts | None = None
    refusal: Refusal | None = None
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


class RowsSettled(Struct, frozen=True, gc=False):
    """These rows of an outbox have been worked off: they are removed. Those that are not there any
    more are passed over.
    """

    outbox: str
    numbers: tuple[int, ...]


class SetPaused(Struct, frozen=True, gc=False):
    """Dispatch stops, or goes on; it is stored, so that a restart does not undo it."""

    paused: bool


MAX_PAUSED = 100
"""Models that can be paused at once: they are in the store's own record, which each commit has."""


class SetModelPaused(Struct, frozen=True, gc=False):
    """The same for the tasks of one model, which is named without the tag latest."""

    model: str
    paused: bool


MAX_LEARNT = 64 * 1024
"""Bytes of what is kept of one backend."""


class Learnt(Struct, frozen=True, gc=False):
    """What oq has learnt of a backend, in place of what it knew before; None: it is forgotten. The
    `record`, of at most MAX_LEARNT bytes, is that of whoever reads it (`Ledger.learnt`).
    """

    backend: str
    record: bytes | None


MAX_KEPT = 512 * 1024
"""Bytes of one record of what happened lately."""


class Kept(Struct, frozen=True, gc=False):
    """A record of what happened lately, or of what was learnt from that, in place of the one with
    this name. It has at most MAX_KEPT bytes, and is that of whoever reads it (`Ledger.kept`).
    """

    name: str
    record: bytes


Step = (
    Change | Ahead | Removal | SetPaused | SetModelPaused | Learnt | Kept | ResultsRead
    | IdsForgotten | RowsSettled
)  # fmt: skip
OF_ONE_TASK = (Change, Removal)
"""The steps of a single task, for `isinstance`: with a union it takes seven times as long. To find
that a struct is *not* of a class takes ten times as long as to find that it is, so on the way of a
task the usual class is asked for first.
"""

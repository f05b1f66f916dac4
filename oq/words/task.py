"""A task, and everything that is said about one.

The same task has three shapes. `Submission` is what a user sends. `TaskState` is the small
record that the store rewrites at every step; what the user decides about the task is in it as its
`Terms` (`oq.words.terms`). Payload and result lie beside it, written once.
`Task` (and `RawTask`, which carries its documents as undecoded JSON) is what a user reads back.
"""

from __future__ import annotations

from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType, field

from oq.words.terms import Terms

MIN_PRIORITY, MAX_PRIORITY = 0, 100
MAX_RETRIES = 1000
"""The most retries that one task may ask for."""


class Readable:
    """What users read: `to_dict` makes of it what `json.dumps` takes."""

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        """The same in the form of the HTTP API: dicts, lists, texts and numbers. Times are texts,
        and what is not set is left out.
        """
        made: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(self))
        return made


class TaskType(StrEnum):
    """What the model is asked to do."""

    CHAT = "chat"
    GENERATE = "generate"
    EMBED = "embed"

    __hash__ = str.__hash__  # see Status


class Priority(IntEnum):
    """The named priorities. Any integer from 0 to 100 is one too; higher runs first."""

    LOW = 1
    NORMAL = 5
    HIGH = 10
    CRITICAL = 15


class Status(StrEnum):
    """The five states. A delayed task and a waiting retry are `PENDING` with a `run_at`."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    # Enum's own, in Python, would be called forty times in the life of a task.
    __hash__ = str.__hash__

    ended: bool
    """Whether nothing more happens to the task by itself."""

    def __init__(self, value: str) -> None:
        self.ended = value not in ("pending", "running")


ENDED = tuple(status for status in Status if status.ended)


class Usage(Readable, Struct, frozen=True, gc=False):
    """Tokens, as the backend counted them."""

    prompt_tokens: int = 0
    completion_tokens: int = 0


class Attempt(Readable, Struct, frozen=True, omit_defaults=True, gc=False):
    """One try at running a task. `error` is absent when it succeeded."""

    started_at: datetime
    ended_at: datetime | None = None
    error: str | None = None
    backend: str | None = None


class TaskState(Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """Where a task stands: the record that is rewritten at each step of its life.

    `terms` are what its user wants; of these only the priority ever changes. `run_at` is set while
    it waits for a time, which is that of its terms or that of a retry. `deaths` counts the attempts
    during which the process itself died. `awaited` says that its result is kept until it was read.
    `damaged`: the record could not be read, and this one stands in its place.
    """

    id: str
    type: TaskType
    terms: Terms
    status: Status = Status.PENDING
    created_at: datetime
    started_at: datetime | None = None
    completed_at: datetime | None = None
    run_at: datetime | None = None
    error: str | None = None
    retry_count: int = 0
    deaths: int = 0
    attempts: tuple[Attempt, ...] = ()
    usage: Usage | None = None
    awaited: bool = False
    damaged: bool = False


class Body(Struct, frozen=True, array_like=True, omit_defaults=True, gc=False):
    """What a task asks for: two JSON objects, byte for byte as they were submitted.

    For a request to an API of Ollama or OpenAI, `call` is its path (see `oq.dialects`), `payload`
    is its whole body, and `way` has the marks of the servers of oq that it came through.
    """

    payload: bytes
    options: bytes = b"{}"
    call: str | None = None
    way: str = ""


class Submission(Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A task as it is asked for, before it is checked. Shapes: see `oq.rules.validation`.

    `priority` is a number or a name, `timeout` a Go duration or seconds, `run_at` a time with zone.
    `idempotency_key` says what the header of that name says, for each task of a batch.
    """

    type: str
    model: str
    payload: Raw
    options: Raw | UnsetType = UNSET
    priority: int | str = int(Priority.NORMAL)
    max_retries: int | None = None
    run_at: datetime | None = None
    timeout: float | str | None = None
    metadata: Raw | UnsetType = UNSET
    idempotency_key: str | None = None


class _Shown(Readable, Struct, kw_only=True, omit_defaults=True):
    """The fields that every reading of a task shows; what has a default is left out when unset.

    `damaged`: something of it cannot be read from the disk; `error` says what to do.
    """

    id: str
    type: TaskType
    priority: int
    status: Status
    model: str
    created_at: datetime
    retry_count: int
    max_retries: int
    started_at: datetime | None = None
    completed_at: datetime | None = None
    run_at: datetime | None = None
    timeout: float | None = None
    error: str | None = None
    attempts: tuple[Attempt, ...] = ()
    queue_position: int | None = None
    usage: Usage | None = None
    damaged: bool = False


class Task(_Shown, kw_only=True, omit_defaults=True):
    """A task as a user reads it. `payload`, `options`, `metadata` and `result` are JSON objects;
    `result` is the backend's own final answer. `to_dict` makes a dict of it.
    """

    payload: dict[str, Any]
    options: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] | None = None
    result: dict[str, Any] | None = None


class RawTask(_Shown, kw_only=True, omit_defaults=True):
    """A `Task` whose documents stay undecoded JSON: what the server passes through untouched.

    (An absent one is UNSET: a field of type ``Raw | None`` would take nothing but null.)
    """

    payload: Raw
    options: Raw
    metadata: Raw | UnsetType = UNSET
    result: Raw | UnsetType = UNSET


class TaskSummary(_Shown, kw_only=True, omit_defaults=True):
    """A task as one line of a list: without its documents. `excerpt` is how its prompt, its last
    user message or its input begins.
    """

    excerpt: str = ""
    metadata: Raw | UnsetType = UNSET


class Summary(_Shown, kw_only=True, omit_defaults=True):
    """A `TaskSummary` as a user reads it: a task without its payload, its options and its result.
    `excerpt` is how its prompt, its last user message or its input begins.
    """

    excerpt: str = ""
    metadata: dict[str, Any] | None = None


View = TypeVar("View", RawTask, TaskSummary)


def _view(kind: type[View], state: TaskState, queue_position: int | None, **more: Any) -> View:
    """The record as a view of this kind, which shows `more` than all views do. A task's terms stand
    among its other fields there. (Each is named here: to go through their names takes four times as
    long, and listings are long.)
    """
    terms = state.terms
    return kind(
        id=state.id,
        type=state.type,
        priority=terms.priority,
        status=state.status,
        model=terms.model,
        created_at=state.created_at,
        retry_count=state.retry_count,
        max_retries=terms.max_retries,
        started_at=state.started_at,
        completed_at=state.completed_at,
        run_at=state.run_at,
        timeout=terms.timeout,
        error=state.error,
        attempts=state.attempts,
        queue_position=queue_position,
        usage=state.usage,
        damaged=state.damaged,
        metadata=UNSET if terms.metadata is None else Raw(terms.metadata),
        **more,
    )


def summarise(state: TaskState, excerpt: str, queue_position: int | None = None) -> TaskSummary:
    """The wire's view of a task among many."""
    return _view(TaskSummary, state, queue_position, excerpt=excerpt)


def show(
    state: TaskState,
    body: Body | None,
    result: bytes | None = None,
    queue_position: int | None = None,
) -> RawTask:
    """The wire's view of a task, from the records that the store keeps of it."""
    return _view(
        RawTask, state, queue_position,
        payload=Raw(body.payload if body else b"{}"),
        options=Raw(body.options if body else b"{}"),
        result=UNSET if result is None else Raw(result),
    )  # fmt: skip

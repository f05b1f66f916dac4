"""A task, in each of its shapes.

A task has three shapes. `Submission` is what a user sends. `TaskState` is the small record that the
store rewrites at every step. It contains what the user decided about the task, as `Terms`
(`oq.words.terms`). The payload and the result are separate records, and each is written once.
`Task` is what a user reads back. `RawTask` is the same with its documents as undecoded JSON.
"""

from __future__ import annotations

import math
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType, field

from oq.words.head import Headers
from oq.words.terms import Terms

MIN_PRIORITY, MAX_PRIORITY = 0, 100
MAX_RETRIES = 1000
"""The most retries that one task may ask for."""
MAX_TENANT = 128
"""Characters of a tenant's name. Of a longer one the rest does not count."""


class Readable:
    """Values that users read: `to_dict` makes a dict for `json.dumps`."""

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        """The value as a dict, in the form of the HTTP API.

        It contains only dicts, lists, texts, numbers, booleans and None. Times are texts. Fields
        that are not set may be left out.
        """
        made: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(self))
        return made


class TaskType(StrEnum):
    """The types of tasks: what the model does.

    A chat, a generate and an embed can be submitted as a task. The others are made by calls of an
    API: each has its own, such as POST /v1/rerank.
    """

    CHAT = "chat"
    GENERATE = "generate"
    EMBED = "embed"
    RERANK = "rerank"
    IMAGE = "image"
    SPEECH = "speech"
    TRANSCRIBE = "transcribe"
    MODERATE = "moderate"

    __hash__ = str.__hash__  # see Status


class Priority(IntEnum):
    """The priorities that have names. Any integer from 0 to 100 is a priority too.

    Tasks with a higher priority run first.
    """

    LOW = 1
    NORMAL = 5
    HIGH = 10
    CRITICAL = 15


class Status(StrEnum):
    """The five states of a task.

    A task that waits for its start time or for a retry is pending and has a `run_at`.
    """

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    # Enum's own, in Python, would be called forty times in the life of a task.
    __hash__ = str.__hash__

    ended: bool
    """Whether the task is completed, failed or cancelled."""

    def __init__(self, value: str) -> None:
        self.ended = value not in ("pending", "running")


ENDED = tuple(status for status in Status if status.ended)


class Usage(Readable, Struct, frozen=True, gc=False):
    """The number of tokens, as the backend counted them."""

    prompt_tokens: int = 0
    completion_tokens: int = 0


class Attempt(Readable, Struct, frozen=True, omit_defaults=True, gc=False):
    """One attempt at running a task. `error` is absent when it succeeded.

    It began at `started_at`, when the task was handed to the backend, and the first part of its
    answer came at `first_token_at`. `waited_inside` and `load` are in seconds, as the backend says
    them: how long the task waited inside the backend before anything was done for it, and how long
    until the model was in memory. What is not known is absent.
    """

    started_at: datetime
    ended_at: datetime | None = None
    error: str | None = None
    backend: str | None = None
    first_token_at: datetime | None = None
    waited_inside: float | None = None
    load: float | None = None

    @property
    def ran(self) -> float | None:
        """Seconds from its start to its end, without those that it waited inside its backend; None
        while it runs.
        """
        if self.ended_at is None:
            return None
        # The wall clock may have been set back.
        took = (self.ended_at - self.started_at).total_seconds()
        return max(0.0, took - (self.waited_inside or 0.0))


def time_inside(attempts: tuple[Attempt, ...]) -> float:
    """Seconds that the last of these attempts waited inside its backend, as far as is known."""
    return (attempts[-1].waited_inside or 0.0) if attempts else 0.0


class TaskState(Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """The state of a task: the record that is rewritten at each step of its life.

    `terms` are what its user decided. Only the priority in them ever changes. `run_at` is set while
    the task waits for a time: the one of its terms, or the one of a retry. `deaths` counts the
    attempts during which the process itself died. `awaited` means that the result is kept until it
    is read. `damaged` means that the stored record cannot be read, and this one replaces it.
    `deadline` is when the caller of a call stops waiting, if it has said so. It does not count for
    attempts that begin later: nobody waits for these.
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
    deadline: datetime | None = None

    def time_left(self, now: datetime) -> float:
        """Seconds until the deadline, for an attempt that begins now."""
        if self.deadline is None or self.deadline <= now:
            return math.inf
        return (self.deadline - now).total_seconds()

    @property
    def overdue_from(self) -> datetime | None:
        """When its last attempt was, or is, too late for its caller; None if it never is."""
        if self.deadline is None or self.started_at is None or self.started_at >= self.deadline:
            return None
        return self.deadline


class Body(Struct, frozen=True, array_like=True, omit_defaults=True, gc=False):
    """What the model gets: two JSON objects, byte for byte as they were submitted.

    For a call of an API, `call` is the path of its endpoint (see `oq.dialects`), `payload` is its
    whole body, and `way` has the marks of the oq servers that it came through. `headers` are those
    of its caller that a backend gets, and `target` is its path and query, if they are not `call`.
    """

    payload: bytes
    options: bytes = b"{}"
    call: str | None = None
    way: str = ""
    headers: Headers = ()
    target: str | None = None


class Submission(Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A task to submit.

    `type` is chat, generate or embed. `payload` is a JSON object. It needs `messages` (a list of
    objects with `role`) for chat, `prompt` (a text) for generate, and `input` (a text or a list of
    texts) for embed. Further fields of `payload`, and `options`, go to the model unchanged.
    `priority` is 0 to 100, or low, normal, high, critical. `max_retries` is 0 to 1000. `run_at` is
    a time with a zone: the task does not run before it. `timeout` is the longest time for one
    attempt: seconds, or a Go duration such as "5m". `metadata` is a JSON object that oq stores with
    the task. `idempotency_key` has 1 to 255 printable ASCII characters and means the same as the
    header Idempotency-Key: two tasks with the same key and content are stored once.
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


class TimeRange(Readable, Struct, frozen=True, gc=False):
    """A time that is estimated: it is before `p10` in one case of ten, before `p50` in one of two,
    and before `p90` in nine of ten.
    """

    p10: datetime
    p50: datetime
    p90: datetime


class Eta(Readable, Struct, frozen=True, gc=False):
    """When a pending task will start, and when it will have ended, as far as that can be told."""

    starts: TimeRange
    ends: TimeRange


class Waiting(Struct, frozen=True, omit_defaults=True, gc=False):
    """Where a pending task stands, as those are told who wait for it."""

    queue_position: int
    eta: Eta | None = None


class _Shown(Readable, Struct, kw_only=True, omit_defaults=True):
    """The fields that every view of a task has. Fields with a default are left out when not set.

    `damaged` means that a part of the task cannot be read from the disk; `error` says what to do.
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
    waits_for: str | None = None
    eta: Eta | None = None
    usage: Usage | None = None
    damaged: bool = False


class Task(_Shown, kw_only=True, omit_defaults=True):
    """A task as a user reads it.

    `payload`, `options`, `metadata` and `result` are JSON objects. `result` is the final answer of
    the backend. `run_at` is the time that a pending task waits for. `timeout` is in seconds.
    `queue_position` is the place of a pending task in line, `waits_for` says in words why it does
    not run yet, and `eta` when it will. `error` says why the task failed.
    `damaged` means that a part of the task cannot be read from the disk; `error` then says what to
    do.
    """

    payload: dict[str, Any]
    options: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] | None = None
    result: dict[str, Any] | None = None


class RawTask(_Shown, kw_only=True, omit_defaults=True):
    """A `Task` whose documents stay undecoded JSON: the server passes them through unchanged.

    (An absent one is UNSET: a field of type ``Raw | None`` would accept only null.)
    """

    payload: Raw
    options: Raw
    metadata: Raw | UnsetType = UNSET
    result: Raw | UnsetType = UNSET


class TaskSummary(_Shown, kw_only=True, omit_defaults=True):
    """A task without its payload, options and result.

    `excerpt` is the beginning of its prompt, its last user message or its input.
    """

    excerpt: str = ""
    metadata: Raw | UnsetType = UNSET


class Summary(_Shown, kw_only=True, omit_defaults=True):
    """A task without its payload, options and result.

    `excerpt` is the beginning of its prompt, its last user message or its input.
    """

    excerpt: str = ""
    metadata: dict[str, Any] | None = None


View = TypeVar("View", RawTask, TaskSummary)


def _view(kind: type[View], state: TaskState, **more: Any) -> View:
    """The record as a view of this kind, with the fields in `more`. In a view the terms are fields
    like all others. (Each is named here: a loop over the names takes four times as long, and
    listings are long.)
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
        usage=state.usage,
        damaged=state.damaged,
        metadata=UNSET if terms.metadata is None else Raw(terms.metadata),
        **more,
    )


def summarise(
    state: TaskState,
    excerpt: str,
    queue_position: int | None = None,
    waits_for: str | None = None,
    eta: Eta | None = None,
) -> TaskSummary:
    """A task as a listing shows it over HTTP."""
    return _view(
        TaskSummary, state,
        excerpt=excerpt, queue_position=queue_position, waits_for=waits_for, eta=eta,
    )  # fmt: skip


def show(
    state: TaskState,
    body: Body | None,
    result: bytes | None = None,
    queue_position: int | None = None,
    waits_for: str | None = None,
    eta: Eta | None = None,
) -> RawTask:
    """A task as HTTP shows it, from the records that the store has of it."""
    return _view(
        RawTask, state,
        queue_position=queue_position,
        waits_for=waits_for,
        eta=eta,
        payload=Raw(body.payload if body else b"{}"),
        options=Raw(body.options if body else b"{}"),
        result=UNSET if result is None else Raw(result),
    )  # fmt: skip

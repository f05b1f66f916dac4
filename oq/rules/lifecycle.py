"""A task's life: which state may follow which, and what each step writes and tells.

Each function takes a task as it stands and gives the `Change` that the step makes. All pass
through one table, so a step that the table does not know cannot happen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

import msgspec

from oq.rules import scope
from oq.rules.retry import RetryPolicy
from oq.rules.validation import Checked
from oq.words.errors import Conflict
from oq.words.events import Event, EventType
from oq.words.outcome import Aborted, Completed, Failed, Interrupted, Outcome, Refusal, Timings
from oq.words.steps import Change, Step
from oq.words.task import Attempt, Status, TaskState

FOLLOWS: dict[Status | None, frozenset[Status]] = {
    None: frozenset({Status.PENDING}),
    Status.PENDING: frozenset({Status.PENDING, Status.RUNNING, Status.CANCELLED}),
    Status.RUNNING: frozenset(
        {Status.PENDING, Status.COMPLETED, Status.FAILED, Status.CANCELLED},
    ),
    Status.COMPLETED: frozenset(),
    # A user may queue these again; nothing else leads out of them.
    Status.FAILED: frozenset({Status.PENDING}),
    Status.CANCELLED: frozenset({Status.PENDING}),
}
"""Which states may follow each; None is a task that does not exist yet."""

ATTEMPTS_KEPT = 20
"""The latest attempts that a task's record shows."""

ERROR_LENGTH = 4000
"""Characters of an error that are kept."""


def submitted(
    checked: Checked,
    task_id: str,
    now: datetime,
    mark: bytes | None = None,
    *,
    awaited: bool = False,
) -> Change:
    """A new task. `mark` is the fingerprint of what the idempotency key is used for; the result of
    one that is `awaited` is kept until it was read.
    """
    terms = checked.terms
    state = TaskState(
        id=task_id,
        type=checked.type,
        terms=terms,
        created_at=now,
        run_at=terms.run_at if terms.run_at and terms.run_at > now else None,
        awaited=awaited,
        deadline=_deadline(checked, now),
    )
    return Change(
        state, None, EventType.TASK_SUBMITTED, {"priority": terms.priority},
        body=checked.body, fingerprint=mark,
    )  # fmt: skip


def started(state: TaskState, backend: str | None, now: datetime) -> Change:
    """An attempt begins."""
    attempts = (*state.attempts[1 - ATTEMPTS_KEPT :], Attempt(started_at=now, backend=backend))
    step = _step(
        state, Status.RUNNING, EventType.TASK_STARTED, {"backend": backend},
        started_at=now, run_at=None, attempts=attempts,
    )  # fmt: skip
    return step if state.run_at is None else msgspec.structs.replace(step, due=state.run_at)


def finished(
    state: TaskState,
    outcome: Outcome,
    now: datetime,
    policy: RetryPolicy,
    draw: Callable[[], float],
    first_token_at: datetime | None = None,
) -> Change:
    """The attempt that ran has ended like this. Its answer began at `first_token_at`, if it did."""
    _must_run(state)
    if first_token_at is not None:
        state = _begun(state, first_token_at)
    match outcome:
        case Completed(result, usage, timings):
            return _step(
                state, Status.COMPLETED, EventType.TASK_COMPLETED, result=result,
                completed_at=now, error=None, usage=usage,
                attempts=_end_attempt(state, now, None, timings),
            )  # fmt: skip
        case Failed(error, retryable, retry_after):
            if retryable and state.retry_count < state.terms.max_retries:
                retry = state.retry_count + 1
                run_at = now + timedelta(seconds=policy.delay(retry, draw, retry_after))
                overdue = state.overdue_from
                if overdue is None or run_at < overdue:
                    return _retry_later(state, now, error, retry, run_at)
            return _refused(_failed(state, now, error), outcome.refusal)
        case Interrupted():
            return interrupted(state, outcome, now)
        case Aborted():
            return cancelled(state, now)


def interrupted(state: TaskState, outcome: Interrupted, now: datetime) -> Change:
    """The attempt was broken off by something that is not the task's fault: it spends nothing."""
    _must_run(state)
    attempts = _end_attempt(state, now, outcome.reason) if outcome.ran else state.attempts[:-1]
    data: dict[str, object] = {"reason": outcome.reason[:ERROR_LENGTH]}
    run_at = now + timedelta(seconds=outcome.delay) if outcome.delay else None
    if run_at is not None:
        data["run_at"] = run_at
    return _step(
        state, Status.PENDING, EventType.TASK_RETRYING, data,
        started_at=None, run_at=run_at, attempts=attempts,
    )  # fmt: skip


def died(state: TaskState, now: datetime) -> Change:
    """The process ended while the task ran: it runs again, without spending a retry, unless that
    has happened so often that the task must be thought to be the cause.
    """
    _must_run(state)
    if state.damaged:
        return _failed(state, now, state.error or "")
    deaths = state.deaths + 1
    reason = "oq stopped while this attempt ran"
    if deaths > state.terms.max_retries:
        error = f"poison: oq died {deaths} times while this task ran; see its attempts"
        change = _failed(state, now, error, attempt_error=reason)
        return msgspec.structs.replace(
            change, state=msgspec.structs.replace(change.state, deaths=deaths)
        )
    return _step(
        state, Status.PENDING, EventType.TASK_RETRYING, {"reason": reason},
        started_at=None, deaths=deaths, attempts=_end_attempt(state, now, reason),
    )  # fmt: skip


def died_unseen(state: TaskState, started_at: datetime, now: datetime) -> list[Change]:
    """The process ended so soon after a backend had got the task that its start is not on disk."""
    start = started(state, None, started_at)
    return [msgspec.structs.replace(start, event=None), died(start.state, now)]


def cancelled(state: TaskState, now: datetime) -> Change:
    """Its user does not want it any more."""
    attempts = state.attempts
    if state.status is Status.RUNNING:
        attempts = _end_attempt(state, now, "cancelled")
    return _step(
        state, Status.CANCELLED, EventType.TASK_CANCELLED,
        completed_at=now, run_at=None, attempts=attempts,
    )  # fmt: skip


def reprioritised(state: TaskState, priority: int) -> Change:
    """It takes another place in line; only a pending task has one."""
    if state.status is not Status.PENDING:
        raise Conflict(
            f"task {state.id} is {state.status}; only a pending task's priority can be changed"
        )
    return _step(
        state, Status.PENDING, EventType.PRIORITY_UPDATED,
        {"priority": priority, "before": state.terms.priority},
        terms=msgspec.structs.replace(state.terms, priority=priority),
    )  # fmt: skip


def requeued(state: TaskState) -> Change:
    """Its user wants it tried again: with all its retries, and its attempts so far kept."""
    if state.status not in (Status.FAILED, Status.CANCELLED):
        raise Conflict(
            f"task {state.id} is {state.status}; only a failed or cancelled task can be retried"
        )
    if state.damaged:
        raise Conflict(f"task {state.id} is damaged on disk: it cannot be run, only deleted")
    return _step(
        state, Status.PENDING, EventType.TASK_RETRYING, {"reason": "retried by its user"},
        started_at=None, completed_at=None, error=None, retry_count=0, deaths=0,
    )  # fmt: skip


def tell(steps: Iterable[Step], seq: int, now: datetime) -> tuple[list[Event], list[str | None]]:
    """What subscribers are told of these steps, in order, and the owner of the task that each event
    is about (see `oq.rules.scope`). The owners decide who receives an event, and are no part of it.
    `seq` is the number of the last event.
    """
    events: list[Event] = []
    owners: list[str | None] = []
    owner_of = scope.owner_of
    for step in steps:
        if isinstance(step, Change) and step.event is not None:
            seq += 1
            state = step.state
            events.append(Event(seq, state.id, step.event, state.status, now, step.data))
            owners.append(owner_of(state.terms))
    return events, owners


def _deadline(checked: Checked, now: datetime) -> datetime | None:
    timeout = checked.terms.timeout
    if not checked.impatient or timeout is None:
        return None
    return now + timedelta(seconds=timeout)


def _must_run(state: TaskState) -> None:
    """The table alone would let a failed task fail again: a user may queue it once more."""
    if state.status is not Status.RUNNING:
        raise Conflict(f"task {state.id} is {state.status}; only a running task's attempt can end")


def _retry_later(
    state: TaskState, now: datetime, error: str, retry: int, run_at: datetime
) -> Change:
    return _step(
        state, Status.PENDING, EventType.TASK_RETRYING,
        {"error": error[:ERROR_LENGTH], "retry_count": retry, "run_at": run_at},
        started_at=None, run_at=run_at, retry_count=retry, error=error[:ERROR_LENGTH],
        attempts=_end_attempt(state, now, error),
    )  # fmt: skip


def _failed(
    state: TaskState, now: datetime, error: str, attempt_error: str | None = None
) -> Change:
    return _step(
        state, Status.FAILED, EventType.TASK_FAILED, {"error": error[:ERROR_LENGTH]},
        completed_at=now, error=error[:ERROR_LENGTH],
        attempts=_end_attempt(state, now, attempt_error or error),
    )  # fmt: skip


def _refused(change: Change, refusal: Refusal | None) -> Change:
    """A failed task keeps what its backend said instead of a result."""
    if refusal is None:
        return change
    return msgspec.structs.replace(change, refusal=refusal)


def _begun(state: TaskState, first_token_at: datetime) -> TaskState:
    *before, last = state.attempts
    last = msgspec.structs.replace(last, first_token_at=first_token_at)
    return msgspec.structs.replace(state, attempts=(*before, last))


def _end_attempt(
    state: TaskState, now: datetime, error: str | None, timings: Timings | None = None
) -> tuple[Attempt, ...]:
    *before, last = state.attempts
    ended = Attempt(
        started_at=last.started_at,
        ended_at=now,
        error=error[:ERROR_LENGTH] if error else None,
        backend=last.backend,
        first_token_at=last.first_token_at,
        waited_inside=None if timings is None else timings.waited,
        load=None if timings is None else timings.load,
    )
    return (*before, ended)


def _step(
    state: TaskState,
    status: Status,
    event: EventType,
    data: dict[str, object] | None = None,
    result: bytes | None = None,
    **fields: Any,
) -> Change:
    if status not in FOLLOWS[state.status]:
        raise Conflict(f"task {state.id} is {state.status} and cannot become {status}")
    after = msgspec.structs.replace(state, status=status, **fields)
    return Change(after, state.status, event, data, result=result)

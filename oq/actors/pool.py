"""The worker pool: one trio task for each running job, in a cancel scope of its own."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import structlog
import trio

from oq.actors.streams import Streams
from oq.backends.base import Backend, Request
from oq.rules import lifecycle
from oq.rules.pieces import attempt_id
from oq.rules.retry import RetryPolicy
from oq.store import Store
from oq.words import errors
from oq.words.clock import Clock
from oq.words.durations import format_duration
from oq.words.messages import Abort, Change, Commit, Freed, Job, put, take
from oq.words.outcome import Aborted, Failed, Interrupted, Outcome, Refusal
from oq.words.task import Body, TaskState

log = structlog.get_logger("oq.pool")


@dataclass(slots=True)
class _Run:
    """A job that runs; `reason` is why it was broken off, if it was."""

    state: TaskState
    body: Body | None
    backend: Backend
    timeout: float
    scope: trio.CancelScope
    reason: Outcome | None = None

    def stop(self, reason: Outcome) -> None:
        if self.reason is None:
            self.reason = reason
            self.scope.cancel()


class Pool:
    """Runs what the scheduler sends: it never holds more jobs than there are slots."""

    def __init__(
        self,
        store: Store,
        backends: dict[str, Backend],
        clock: Clock,
        policy: RetryPolicy,
        timeout: float,
        streams: Streams,
        inbox: trio.MemoryReceiveChannel[Job | Abort],
        to_writer: trio.MemorySendChannel[Commit],
        to_scheduler: trio.MemorySendChannel[Freed],
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._store = store
        self._backends = backends
        self._clock = clock
        self._policy = policy
        self._timeout = timeout
        self._streams = streams
        self._inbox = inbox
        self._to_writer = to_writer
        self._to_scheduler = to_scheduler
        self._draw = draw
        self._runs: dict[str, _Run] = {}
        self._interrupted: Interrupted | None = None

    async def run(self) -> None:
        """Run jobs until the scheduler closes the mailbox, and those that run have ended."""
        with self._to_writer, self._to_scheduler:
            async with trio.open_nursery() as jobs:
                while messages := await take(self._inbox):
                    for message in messages:
                        if isinstance(message, Job):
                            jobs.start_soon(self._finish, await self._begin(message))
                        elif message.task_id in self._runs:
                            self._runs[message.task_id].stop(Aborted())

    def interrupt(self, reason: str) -> None:
        """Break off everything that runs or is about to; the tasks go back to their places."""
        self._interrupted = Interrupted(reason)
        for run in self._runs.values():
            run.stop(self._interrupted)

    async def _begin(self, job: Job) -> _Run:
        """Record the start: here, one after the other, so that starts are told in their order."""
        state, body = self._store.state(job.task_id), self._body(job.task_id)
        assert state is not None, f"task {job.task_id} was dispatched but is not stored"
        start = lifecycle.started(state, job.backend, self._clock.now())
        state = start.state
        timeout = state.timeout or self._timeout
        scope = trio.CancelScope(deadline=trio.current_time() + timeout)
        run = _Run(state, body, self._backends[job.backend], timeout, scope)
        verbatim = body is not None and body.call is not None
        attempt = attempt_id(state.attempts[-1].started_at)
        self._streams.begin(state.id, attempt, verbatim=verbatim)
        self._runs[job.task_id] = run
        if self._interrupted is not None:
            run.stop(self._interrupted)
        await self._commit(start)
        return run

    def _body(self, task_id: str) -> Body | None:
        """What the task asks for; None when the disk has damaged it, which is that task's end and
        not the queue's.
        """
        try:
            return self._store.body(task_id)
        except errors.StoreCorrupt as error:
            log.error("task cannot be read", task_id=task_id, reason=str(error))  # noqa: TRY400
            return None

    async def _finish(self, run: _Run) -> None:
        """Make the attempt, record how it ended, and give the slot back."""
        state = run.state
        down: str | None = None
        outcome: Outcome | None = None
        with run.scope:
            try:
                outcome = await self._attempt(run)
            except errors.BackendDown as error:
                down = str(error)
                outcome = Interrupted(down, ran=False)
        if outcome is None:
            outcome = run.reason or _timed_out(state, run.timeout)
        del self._runs[state.id]
        if isinstance(outcome, Failed) and self._streams.told(state.id):
            outcome = msgspec.structs.replace(outcome, retryable=False)
        change = lifecycle.finished(state, outcome, self._clock.now(), self._policy, self._draw)
        ended = change.state.status.ended
        output = self._streams.end(state.id, void=not ended)
        if output is not None and ended:
            change = msgspec.structs.replace(change, stream=msgspec.msgpack.encode(output))
        # In this order: a slot is not given on before the writer has taken what it did, or a full
        # disk would let finished work pile up without bound.
        await self._commit(change)
        await put(self._to_scheduler, Freed(state.id, run.backend.name, down))

    async def _commit(self, change: Change) -> None:
        await put(self._to_writer, Commit([change]))

    async def _attempt(self, run: _Run) -> Outcome:
        """How the attempt ended; BackendDown passes through."""
        state, body = run.state, run.body
        if body is None:
            return Failed("what this task asks for cannot be read from the disk", retryable=False)
        request = Request(state.type, state.model, body.payload, body.options, body.call)
        task_id, emit = state.id, self._streams.emit
        try:
            return await run.backend.run(request, lambda chunk: emit(task_id, chunk))
        except errors.BackendDown:
            raise
        except errors.BackendFailure as error:
            return Failed(str(error), True, error.retry_after, _refusal(error, request))
        except errors.BackendRejected as error:
            return Failed(str(error), retryable=False, refusal=_refusal(error, request))
        except Exception as error:
            # A bug in a backend is that attempt's failure, not the end of everybody's queue.
            log.exception("backend raised", task_id=task_id, backend=run.backend.name)
            return Failed(f"{type(error).__name__}: {error}", retryable=True)


def _refusal(error: errors.BackendError, request: Request) -> Refusal | None:
    """What the backend said, for the caller of a call."""
    if request.call is None or error.body is None:
        return None
    return Refusal(error.status, error.body)


def _timed_out(state: TaskState, timeout: float) -> Failed:
    what = "its timeout" if state.timeout else "ollama.timeout"
    return Failed(f"no answer within {format_duration(timeout)} ({what})", retryable=True)

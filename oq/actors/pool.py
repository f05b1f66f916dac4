"""The worker pool: one trio task for each running job, in a cancel scope of its own."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog
import trio

from oq.backends.base import Backend, Request
from oq.rules import lifecycle
from oq.rules.retry import RetryPolicy
from oq.store import Store
from oq.words import errors
from oq.words.clock import Clock
from oq.words.durations import format_duration
from oq.words.messages import Abort, Commit, Freed, Job
from oq.words.outcome import Aborted, Failed, Interrupted, Outcome
from oq.words.task import Body, TaskState

log = structlog.get_logger("oq.pool")


@dataclass(slots=True)
class _Run:
    """A job that runs; `reason` is why it was broken off, if it was."""

    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
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
        emit: Callable[[str, bytes], None],
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
        self._emit = emit
        self._inbox = inbox
        self._to_writer = to_writer
        self._to_scheduler = to_scheduler
        self._draw = draw
        self._runs: dict[str, _Run] = {}

    async def run(self) -> None:
        """Run jobs until the scheduler closes the mailbox, and those that run have ended."""
        with self._to_writer, self._to_scheduler:
            async with trio.open_nursery() as jobs:
                async for message in self._inbox:
                    match message:
                        case Job():
                            run = self._runs[message.task_id] = _Run()
                            jobs.start_soon(self._run, message, run)
                        case Abort(task_id):
                            if task_id in self._runs:
                                self._runs[task_id].stop(Aborted())

    def interrupt(self, reason: str) -> None:
        """Break off everything that runs; the tasks go back to their places in line."""
        for run in self._runs.values():
            run.stop(Interrupted(reason))

    async def _run(self, job: Job, run: _Run) -> None:
        state, body = self._store.state(job.task_id), self._store.body(job.task_id)
        assert state is not None, f"task {job.task_id} was dispatched but is not stored"
        assert body is not None, f"task {job.task_id} was dispatched without a body"
        start = lifecycle.started(state, job.backend, self._clock.now())
        await self._to_writer.send(Commit([start]))
        down: str | None = None
        outcome: Outcome = Aborted()
        with run.scope:
            outcome, down = await self._attempt(self._backends[job.backend], start.state, body)
        if run.scope.cancelled_caught:
            assert run.reason is not None
            outcome = run.reason
        del self._runs[job.task_id]
        change = lifecycle.finished(
            start.state, outcome, self._clock.now(), self._policy, self._draw
        )
        # In this order: a slot is not given on before the writer has taken what it did, or a full
        # disk would let finished work pile up without bound.
        await self._to_writer.send(Commit([change]))
        await self._to_scheduler.send(Freed(job.task_id, job.backend, down))

    async def _attempt(
        self, backend: Backend, state: TaskState, body: Body
    ) -> tuple[Outcome, str | None]:
        """How the attempt ended, and why the backend is down, if it is."""
        request = Request(state.type, state.model, body.payload, body.options)
        timeout = state.timeout or self._timeout
        task_id, emit = state.id, self._emit
        try:
            with trio.fail_after(timeout):
                return await backend.run(request, lambda chunk: emit(task_id, chunk)), None
        except trio.TooSlowError:
            what = "its timeout" if state.timeout else "ollama.timeout"
            return Failed(f"no answer within {format_duration(timeout)} ({what})", True), None
        except errors.BackendDown as error:
            return Interrupted(str(error), ran=False), str(error)
        except errors.BackendFailure as error:
            return Failed(str(error), True, error.retry_after), None
        except errors.BackendRejected as error:
            return Failed(str(error), retryable=False), None
        except Exception as error:
            # A bug in a backend is that attempt's failure, not the end of everybody's queue.
            log.exception("backend raised", task_id=task_id, backend=backend.name)
            return Failed(f"{type(error).__name__}: {error}", retryable=True), None

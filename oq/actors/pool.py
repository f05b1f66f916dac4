"""The worker pool: workers that make one attempt after the other, each in its own cancel scope."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial

import msgspec
import structlog
import trio

from oq.actors.attempts import RunningAttempt, RunningAttempts
from oq.actors.silent_models import SilentModels
from oq.actors.streams import Streams
from oq.backends.base import Backend, Request, way
from oq.backends.busy import is_unknown_model
from oq.rules import lifecycle
from oq.rules.outages import PUT_OFF, put_off
from oq.rules.retry import RetryPolicy
from oq.rules.stream_log import attempt_id
from oq.rules.via import add_mark
from oq.store import Ledger
from oq.words import errors
from oq.words.channels import put
from oq.words.clock import Clock
from oq.words.head import Head
from oq.words.messages import (
    SERVED,
    Abort,
    Answered,
    Busy,
    Commit,
    Dispatch,
    Ended,
    Freed,
    Job,
    Recall,
    Stays,
    Wedged,
)
from oq.words.outcome import Aborted, Completed, Failed, Interrupted, Outcome, Refusal
from oq.words.task import Body

log = structlog.get_logger("oq.pool")

RECALLED = Interrupted("a more urgent task came first", ran=False)
PREEMPTED = Interrupted("a critical task came first")
GOES_BACK = (RECALLED, PREEMPTED)
ASKS_TO_WAIT = frozenset({429, 503})
"""Statuses by which a backend says that it takes no more now: the task is not the cause."""


class Pool:
    """Runs what the scheduler sends: it never holds more jobs than there are slots.

    The workers that are idle wait for the scheduler's messages themselves: so a slot that is free
    waits for no more switches between tasks than there have to be. There is one worker for each
    slot, and one more for what is to be stopped while all others work.
    """

    def __init__(
        self,
        ledger: Ledger,
        backends: dict[str, Backend],
        slots: int,
        clock: Clock,
        policy: RetryPolicy,
        timeout: float,
        wedged_after: float,
        streams: Streams,
        inbox: trio.MemoryReceiveChannel[Dispatch | Abort | Recall],
        to_writer: trio.MemorySendChannel[Commit],
        to_scheduler: trio.MemorySendChannel[Freed | Answered | Stays | Wedged],
        mark: str = "",
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._ledger = ledger
        self._backends = backends
        self._slots = slots
        self._clock = clock
        self._policy = policy
        self._timeout = timeout
        self._streams = streams
        self._inbox = inbox
        self._to_writer = to_writer
        self._to_scheduler = to_scheduler
        self._mark = mark
        self._draw = draw
        self._runs = RunningAttempts()
        self._silent = SilentModels(self._runs, streams, wedged_after, to_scheduler)
        self._begun: deque[RunningAttempt] = deque()  # each is for a worker that was woken for it
        self._beginning = 0  # dispatches of which some are not begun yet
        self._all_begun = trio.lowlevel.ParkingLot()
        self._news: deque[Answered | Stays] = deque()  # for the scheduler
        self._some_news = trio.Event()
        self._interrupted: Interrupted | None = None

    async def run(self) -> None:
        """Run jobs until the scheduler closes the mailbox, and those that run have ended."""
        with self._to_writer, self._to_scheduler:
            async with trio.open_nursery() as watching:
                watching.start_soon(self._runs.watch, self._silent.look)
                watching.start_soon(self._tell_news)
                async with trio.open_nursery() as workers:
                    for _ in range(self._slots + 1):
                        workers.start_soon(self._work)
                watching.cancel_scope.cancel()

    def interrupt(self, reason: str) -> None:
        """Break off everything that runs or is about to; the tasks go back to their places."""
        self._interrupted = Interrupted(reason)
        for run in self._runs:
            run.stop(self._interrupted)

    async def _work(self) -> None:
        """Make one attempt after the other, all in one cancel scope for as long as none of them is
        broken off.
        """
        with suppress(trio.EndOfChannel):
            while True:
                with trio.CancelScope() as scope:
                    run = await self._next()
                    await self._attempt(run, scope)
                    while run.reason is None:
                        await self._finish(run)
                        run = await self._next()
                        await self._attempt(run, scope)
                # Out of the scope: it is cancelled, and so would be what records the end.
                await self._finish(run)

    async def _next(self) -> RunningAttempt:
        """The next attempt for an idle worker. EndOfChannel when there will be none."""
        while True:
            message = await self._inbox.receive()
            if isinstance(message, Dispatch):
                if message.jobs:
                    await self._begin_all(message)
                while not self._begun:
                    await self._all_begun.park()
                return self._begun.popleft()
            if message.task_id not in self._runs:
                # Workers that are woken together go on in any order: another may have its dispatch.
                await trio.lowlevel.checkpoint()
                while self._beginning:
                    await self._all_begun.park()
            self._stop(message)

    async def _begin_all(self, dispatch: Dispatch) -> None:
        """Begin what the scheduler wants to start, in its order, and record that: this worker is
        the first of those that were woken for it.
        """
        now, time = self._clock.now(), trio.current_time()
        attempt = attempt_id(now)
        jobs = [*dispatch.jobs]
        dispatch.jobs.clear()
        self._beginning += 1
        begun = [await self._begin(job, attempt, now, time) for job in jobs]
        await put(self._to_writer, Commit([run.start for run in begun], patient=True))
        self._begun += begun
        self._beginning -= 1
        if self._all_begun:
            self._all_begun.unpark_all()

    def _stop(self, message: Abort | Recall) -> None:
        run = self._runs.get(message.task_id)
        if run is None:
            return  # it has ended meanwhile
        if isinstance(message, Abort):
            run.stop(Aborted())
        elif run.first_at is None:
            run.stop(RECALLED)
        elif message.answered and not self._streams.seen(message.task_id):
            run.stop(PREEMPTED)
        elif message.answered:
            self._note(Stays(message.task_id))

    async def _tell_news(self) -> None:
        """Tell the scheduler what it wants to know of running tasks, until cancelled."""
        while True:
            await self._some_news.wait()
            self._some_news = trio.Event()
            while self._news:
                await put(self._to_scheduler, self._news.popleft())

    def _note(self, news: Answered | Stays) -> None:
        self._news.append(news)
        self._some_news.set()

    async def _begin(self, job: Job, attempt: int, now: datetime, time: float) -> RunningAttempt:
        state = await self._ledger.state(job.task_id)
        timeout = state.terms.timeout or self._timeout
        if state.deadline is not None:
            timeout = min(timeout, state.time_left(now))
        # Before anybody works on what it asks for: should that end the process, it is counted.
        self._ledger.running_page.add(job.task_id, attempt)
        body = None if state.damaged else await self._body(job.task_id)
        start = lifecycle.started(state, job.backend, now)
        run = RunningAttempt(
            start, start.state, body, self._backends[job.backend], timeout, time + timeout,
            job.watched, job.elsewhere, job.canary, job.counted, job.suspect,
        )  # fmt: skip
        self._streams.begin(job.task_id, attempt, None if body is None else body.call)
        self._runs.add(run)
        if self._interrupted is not None:
            run.stop(self._interrupted)
        return run

    async def _body(self, task_id: str) -> Body | None:
        """What the task asks for; None when the disk has damaged it, which is that task's end and
        not the queue's.
        """
        try:
            return await self._ledger.body(task_id)
        except errors.StoreCorrupt as error:
            log.error("task cannot be read", task_id=task_id, reason=str(error))  # noqa: TRY400
            return None

    async def _attempt(self, run: RunningAttempt, scope: trio.CancelScope) -> None:
        """Have the backend do it, and note how that ended; no outcome if it was broken off."""
        if run.reason is not None:
            return
        run.scope = scope
        if run.body is None:
            reason = run.state.error or "what this task asks for cannot be read from the disk"
            run.outcome = Failed(reason, retryable=False)
            return
        request = run.request(run.body)
        emit = partial(self._emit, run, run.state.id)
        if run.watched:
            run.sent_at = trio.current_time()
        come = add_mark(run.body.way, self._mark)
        if way.get() != come:  # mostly it is that of the worker's last task
            way.set(come)
        try:
            run.outcome = await run.backend.run(request, emit)
        except errors.BackendBusy as error:
            run.busy = Busy(str(error), error.retry_after)
            run.outcome = Interrupted(str(error), ran=False)
        except errors.BackendDown as error:
            run.down = str(error)
            run.outcome = Interrupted(run.down, ran=False)
            if error.ran:  # the task may be what the server cannot do: it is not tried for ever
                run.outcome = Failed(run.down, retryable=True)
        except errors.BackendFailure as error:
            run.outcome = Failed(str(error), True, error.retry_after, _refusal(error, request))
            # What a backend says to a call is the call's own answer, and comes as soon as without
            # oq: many in a row would only say that one client asks for what cannot be had.
            if run.may_wait and error.status in ASKS_TO_WAIT:
                run.busy = Busy(str(error), error.retry_after)
            elif run.may_wait or run.canary:
                run.failed = str(error)
        except errors.BackendRejected as error:
            run.lacks = is_unknown_model(error)
            if run.lacks and run.elsewhere:
                run.outcome = Interrupted(str(error), ran=False)
            else:
                run.outcome = Failed(str(error), retryable=False, refusal=_refusal(error, request))
        except Exception as error:
            # A bug in a backend is that attempt's failure, not the end of everybody's queue.
            log.exception("backend raised", task_id=run.state.id, backend=run.backend.name)
            run.outcome = Failed(f"{type(error).__name__}: {error}", retryable=True)

    def _emit(self, run: RunningAttempt, task_id: str, said: bytes | Head, /, *more: bytes) -> None:
        """A part of the answer to this attempt has come: see `Emit`."""
        if run.reason is not None and run.reason in GOES_BACK:
            return
        if run.first_at is None and not isinstance(said, Head):
            run.first_at = trio.current_time()
            if run.watched:
                self._note(Answered(task_id))
        self._streams.emit(task_id, said, *more)

    async def _finish(self, run: RunningAttempt) -> None:
        """Record how the attempt ended, and give the slot back."""
        # What comes in the moment after a recall is not passed on: so the task runs again.
        outcome, reason = run.outcome, run.reason
        if reason is not None and (outcome is None or reason in GOES_BACK):
            outcome = reason
        assert outcome is not None, "an attempt ends by itself or is broken off"
        state, done = run.state, type(outcome) is Completed
        ended = SERVED if done and not (run.watched or run.counted) else run.ended()
        self._silent.ended(run, ended)
        if not done:
            outcome = self._weigh(run, outcome, ended)
        self._runs.remove(run)
        run.body = run.outcome = None  # its worker keeps the run until the next one comes
        self._ledger.running_page.discard(state.id)
        now, first = self._clock.now(), None
        if run.first_at is not None:
            first = now - timedelta(seconds=trio.current_time() - run.first_at)
        change = lifecycle.finished(state, outcome, now, self._policy, self._draw, first)
        change = await self._streams.end(change)
        # In this order: a slot is not given on before the writer has taken what it did, or a full
        # disk would let finished work pile up without bound.
        await put(self._to_writer, Commit([change]))
        await put(self._to_scheduler, Freed(state.id, run.backend.name, ended))

    def _weigh(self, run: RunningAttempt, outcome: Outcome, ended: Ended) -> Outcome:
        """What comes of an attempt that was not completed, as it is recorded."""
        if isinstance(outcome, Failed) and run.may_wait and run.backend_fails(ended):
            outcome = _spared(run, outcome)
        if self._streams.sent(run.state.id):  # its caller cannot forget what it has
            if run.down is not None:
                return Failed(run.down, retryable=False)
            if isinstance(outcome, Failed):
                return msgspec.structs.replace(outcome, retryable=False)
        return outcome


def _spared(run: RunningAttempt, failed: Failed) -> Failed | Interrupted:
    """The end of an attempt that fails as the backend fails at all: it spends no retry, unless the
    task may be the cause.
    """
    if run.busy is not None:
        delay = None if run.suspect else PUT_OFF
    else:
        state = run.state
        failed_before = sum(attempt.error is not None for attempt in state.attempts)
        delay = put_off(max(0, failed_before - state.retry_count) + 1)  # they spent no retry
    if delay is None:
        return failed
    return Interrupted(failed.error, delay=delay if run.canary else 0.0)


def _refusal(error: errors.BackendError, request: Request) -> Refusal | None:
    """What the backend said, for the caller of a call."""
    if request.call is None or error.body is None:
        return None
    return Refusal(error.status, error.body, error.head, error.frame)

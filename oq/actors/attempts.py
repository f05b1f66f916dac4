"""The attempts that run now, and what stops them: their deadline, or a cancel."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterator

import trio
from msgspec import Struct

from oq.backends.base import Backend, Request
from oq.words.durations import format_duration
from oq.words.messages import Busy, Ended
from oq.words.outcome import Completed, Failed, Outcome, Timings
from oq.words.sample import Sample
from oq.words.steps import Change
from oq.words.task import Body, TaskState, Usage


class RunningAttempt(Struct, eq=False):
    """One attempt of a task, whose `state` since its `start` this is. `scope` is that of the worker
    that makes it, while it does; `reason` says why it was broken off, if it was, and `outcome` how
    it ended by itself, if it did. `failed`, `down`, `busy` and `lacks` are as in
    `oq.words.messages.Ended`, `watched`, `elsewhere`, `canary`, `counted` and `suspect` as in its
    `Job`. `wedged`: no task of its model produces anything there. `timeout` is in seconds;
    `deadline`, `sent_at` and `first_at`, when the first byte of the answer came, in trio's time.
    """

    start: Change
    state: TaskState
    body: Body | None
    backend: Backend
    timeout: float
    deadline: float
    watched: bool = False
    elsewhere: bool = False
    canary: bool = False
    counted: bool = False
    suspect: bool = False
    wedged: bool = False
    sent_at: float = 0.0
    first_at: float | None = None
    failed: str | None = None
    busy: Busy | None = None
    lacks: bool = False
    scope: trio.CancelScope | None = None
    reason: Outcome | None = None
    outcome: Outcome | None = None
    down: str | None = None

    def request(self, body: Body) -> Request:
        """What the backend is asked."""
        state = self.state
        return Request(
            state.type, state.terms.model, body.payload, body.options, body.call, body.headers,
            body.target,
        )  # fmt: skip

    def ended(self) -> Ended:
        """What its end says of the backend."""
        failed, reason = self.failed, self.reason
        silent = self.first_at is None or self.wedged
        if isinstance(reason, Failed) and silent and (self.may_wait or self.canary):
            failed = failed or reason.error  # not a word until its time was over
        return Ended(
            served=self.reason is None and isinstance(self.outcome, Completed),
            failed=None if self.busy is not None else failed,
            begun=self.first_at is not None,
            down=self.down,
            busy=self.busy,
            lacks=self.lacks,
            sample=self._sample(trio.current_time()) if self.watched else None,
            cost=self._cost() if self.counted else None,
        )

    def backend_fails(self, ended: Ended) -> bool:
        """Whether it is known that the backend fails at others too, or takes nothing now."""
        fails = ended.failed is not None and (self.canary or self.wedged)
        return ended.busy is not None or fails

    @property
    def begun_at(self) -> float:
        """When it began, in trio's time."""
        return self.deadline - self.timeout

    @property
    def may_wait(self) -> bool:
        """Whether nobody waits for the answer: the task is no call of an API."""
        return self.body is not None and self.body.call is None

    def _sample(self, now: float) -> Sample | None:
        """How the backend served the task; None if not to its end. `now` is trio's time."""
        done = self.outcome
        if self.reason is not None or not isinstance(done, Completed):
            return None
        times, usage = done.timings or Timings(), done.usage or Usage()
        return Sample(
            now - self.sent_at,
            None if self.first_at is None else self.first_at - self.sent_at,
            times.waited,
            times.load,
            usage.completion_tokens or usage.prompt_tokens or None,
        )

    def _cost(self) -> int | None:
        """Tokens, the generated ones twice; None if it was broken off, or nobody says it."""
        done = self.outcome
        if self.reason is not None or not isinstance(done, Completed) or done.usage is None:
            return None
        return done.usage.prompt_tokens + 2 * done.usage.completion_tokens

    def stop(self, reason: Outcome) -> None:
        """Break it off. The first reason holds."""
        if self.reason is None:
            self.reason = reason
            if self.scope is not None:
                self.scope.cancel()

    def timed_out(self) -> Failed:
        state = self.state
        # The last attempt for a caller may begin late; nobody waits for one that begins after that.
        last = state.overdue_from is not None
        waited = state.terms.timeout if last and state.terms.timeout is not None else self.timeout
        if state.deadline is not None:
            what = "X-OQ-Timeout"
        else:
            what = "its timeout" if state.terms.timeout else "ollama.timeout"
        return Failed(f"no answer within {format_duration(waited)} ({what})", retryable=not last)


class RunningAttempts:
    """The attempts under way, by task. One actor watches all their deadlines: a deadline in each
    one's cancel scope would cost every job what only a few that hang have need of.
    """

    def __init__(self) -> None:
        self._runs: dict[str, RunningAttempt] = {}
        self._next_look = math.inf
        self._earlier = trio.Event()

    def __iter__(self) -> Iterator[RunningAttempt]:
        return iter(self._runs.values())

    def __contains__(self, task_id: str) -> bool:
        return task_id in self._runs

    def add(self, run: RunningAttempt) -> None:
        self._runs[run.state.id] = run
        if run.deadline < self._next_look:
            self._earlier.set()

    def remove(self, run: RunningAttempt) -> None:
        del self._runs[run.state.id]

    def get(self, task_id: str) -> RunningAttempt | None:
        return self._runs.get(task_id)

    async def watch(self, look: Callable[[], Awaitable[float]]) -> None:
        """Stop what is over its time, until cancelled. While something runs, `look` is called too,
        whenever the time comes that it has given.
        """
        look_at = -math.inf
        while True:
            watched = [run for run in self if run.reason is None]
            self._next_look = min((run.deadline for run in watched), default=math.inf)
            if watched:
                self._next_look = min(self._next_look, look_at)
            with trio.move_on_at(self._next_look):
                await self._earlier.wait()
            self._earlier = trio.Event()
            now = trio.current_time()
            for run in self:
                if run.deadline <= now:
                    run.stop(run.timed_out())
            if look_at <= now:
                look_at = await look()

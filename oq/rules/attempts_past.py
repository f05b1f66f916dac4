"""The attempts that backends ran lately, in lanes: in one lane nothing runs at the same time."""

from __future__ import annotations

from collections import deque
from datetime import datetime
from heapq import heappop, heappush

from oq.words.events import EventType
from oq.words.messages import Committed
from oq.words.steps import Change
from oq.words.task import Attempt, Status
from oq.words.timeline import AttemptEnd, TimelineAttempt

KEPT = 500
"""Attempts of a backend that have ended."""
_ENDS: dict[Status, AttemptEnd] = {
    Status.COMPLETED: "completed",
    Status.FAILED: "failed",
    Status.CANCELLED: "cancelled",
}


_Run = tuple[str, str, int, datetime]
"""The id of its task, its model, its lane, and when it began."""

_Past = tuple[_Run, datetime, AttemptEnd, Attempt | None]
"""The same of one that has ended: when, how, and its record, if there is one."""


class _Lanes:
    """Of one backend: what runs, what ran, and the lanes that are free, of which the first is
    taken. What it notes of each attempt is made into something to look at when somebody does.
    """

    __slots__ = ("_free", "_lanes", "ended", "running")

    def __init__(self) -> None:
        self.running: dict[str, _Run] = {}
        self.ended: deque[_Past] = deque(maxlen=KEPT)
        self._free: list[int] = []
        self._lanes = 0

    def start(self, task_id: str, model: str, at: datetime) -> None:
        if self._free:
            lane = heappop(self._free)
        else:
            lane, self._lanes = self._lanes, self._lanes + 1
        self.running[task_id] = task_id, model, lane, at

    def end(self, task_id: str, how: AttemptEnd, at: datetime, attempt: Attempt | None) -> None:
        """It has ended; without an `attempt` there is no record of it."""
        run = self.running.pop(task_id)
        heappush(self._free, run[2])
        self.ended.append((run, at, how, attempt))


class AttemptsPast:
    """Of all backends. It must see every step, in order."""

    def __init__(self) -> None:
        self._backends: dict[str, _Lanes] = {}
        self._where: dict[str, _Lanes] = {}  # of the tasks that run

    def committed(self, commit: Committed) -> None:
        """Take note of a commit; to be called after each."""
        if not commit.events:
            return
        at = commit.events[0].timestamp  # all of them are told at once
        for step in commit.steps:
            if type(step) is not Change:  # as fast as may be: most steps of all queues pass here
                continue
            state = step.state
            if step.event is EventType.TASK_STARTED:
                attempt = state.attempts[-1]
                if attempt.backend is not None:
                    lanes = self._backends.setdefault(attempt.backend, _Lanes())
                    lanes.start(state.id, state.terms.model, attempt.started_at)
                    self._where[state.id] = lanes
            elif step.before is Status.RUNNING:
                lanes_of_it = self._where.pop(state.id, None)
                if lanes_of_it is not None:
                    self._end(lanes_of_it, step, at)

    def _end(self, lanes: _Lanes, step: Change, at: datetime) -> None:
        state = step.state
        attempt = state.attempts[-1] if state.attempts else None
        if attempt is not None and attempt.started_at != lanes.running[state.id][3]:
            attempt = None  # it never began
        failed = attempt is not None and "retry_count" in (step.data or {})
        how = _ENDS.get(state.status, "failed" if failed else "put_back")
        ended_at = at if attempt is None or attempt.ended_at is None else attempt.ended_at
        lanes.end(state.id, how, ended_at, attempt)

    def since(self, backend: str, time: datetime) -> list[TimelineAttempt]:
        """The attempts of this backend that ran at this time or later, the oldest first."""
        lanes = self._backends.get(backend)
        if lanes is None:
            return []
        found = [_shown(run) for run in lanes.running.values()]
        found += [_shown(past[0], past) for past in lanes.ended if past[1] >= time]
        return sorted(found, key=lambda one: one.started_at)


def _shown(run: _Run, past: _Past | None = None) -> TimelineAttempt:
    task_id, model, lane, started_at = run
    _, ended_at, how, attempt = past or (run, None, None, None)
    return TimelineAttempt(
        task_id=task_id,
        model=model,
        lane=lane,
        started_at=started_at,
        ended_at=ended_at,
        ended=how,
        first_token_at=None if attempt is None else attempt.first_token_at,
        waited_inside=None if attempt is None else attempt.waited_inside,
        load=None if attempt is None else attempt.load,
    )

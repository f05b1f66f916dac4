"""The attempts that backends ran lately, in lanes: in one lane nothing runs at the same time."""

from __future__ import annotations

from collections import deque
from datetime import datetime
from heapq import heappop, heappush

from msgspec.structs import replace

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


class _Lanes:
    """Of one backend: what runs, what ran, and the lanes that are free, of which the first is
    taken.
    """

    def __init__(self) -> None:
        self.running: dict[str, TimelineAttempt] = {}
        self.ended: deque[TimelineAttempt] = deque(maxlen=KEPT)
        self._free: list[int] = []
        self._lanes = 0

    def start(self, task_id: str, model: str, at: datetime) -> None:
        if self._free:
            lane = heappop(self._free)
        else:
            lane, self._lanes = self._lanes, self._lanes + 1
        self.running[task_id] = TimelineAttempt(
            task_id=task_id, model=model, lane=lane, started_at=at
        )

    def end(self, task_id: str, how: AttemptEnd, at: datetime, attempt: Attempt | None) -> None:
        """It has ended; without an `attempt` there is no record of it."""
        run = self.running.pop(task_id, None)
        if run is None:
            return
        heappush(self._free, run.lane)
        run = replace(run, ended_at=at, ended=how)
        if attempt is not None:
            run = replace(
                run,
                first_token_at=attempt.first_token_at,
                waited_inside=attempt.waited_inside,
                load=attempt.load,
            )
        self.ended.append(run)


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
            if not isinstance(step, Change):
                continue
            state = step.state
            if step.event is EventType.TASK_STARTED:
                attempt = state.attempts[-1]
                if attempt.backend is not None:
                    lanes = self._backends.setdefault(attempt.backend, _Lanes())
                    lanes.start(state.id, state.terms.model, attempt.started_at)
                    self._where[state.id] = lanes
            elif step.before is Status.RUNNING:
                lanes = self._where.pop(state.id, _Lanes())
                self._end(lanes, step, at)

    def _end(self, lanes: _Lanes, step: Change, at: datetime) -> None:
        state = step.state
        run = lanes.running.get(state.id)
        attempt = state.attempts[-1] if state.attempts else None
        if run is None or attempt is None or attempt.started_at != run.started_at:
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
        ended = [one for one in lanes.ended if one.ended_at is None or one.ended_at >= time]
        return sorted([*ended, *lanes.running.values()], key=lambda one: one.started_at)

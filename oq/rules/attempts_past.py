"""The attempts that backends ran lately, in lanes: in one lane nothing runs at the same time.

Each task pays for what is noted here, so that is two records that are there anyway. Attempts and
lanes are made of them when somebody looks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from heapq import heappop, heappush

from msgspec.structs import replace

from oq.words.steps import Change
from oq.words.task import Status, TaskState
from oq.words.timeline import AttemptEnd, TimelineAttempt

KEPT = 500
"""Attempts of a backend that have ended."""
_ENDS: dict[Status, AttemptEnd] = {
    Status.COMPLETED: "completed",
    Status.FAILED: "failed",
    Status.CANCELLED: "cancelled",
}
_Ended = tuple[TaskState, TaskState, dict[str, object] | None, datetime]
"""A task as it began, as it stood when it had stopped, what was told of that, and when. It is not
the whole change, which may have a large result.
"""


class AttemptsPast:
    """Of all backends. `running` gives the tasks that run, as they were when they started."""

    def __init__(self, running: Callable[[], Iterable[TaskState]]) -> None:
        self._running = running
        self._ended: dict[str | None, deque[_Ended]] = {}

    def note(self, begun: TaskState, change: Change, at: datetime) -> None:
        """A task has stopped running by this change, which was told then. It was `begun` so."""
        backend = begun.attempts[-1].backend
        ended = self._ended.get(backend)
        if ended is None:
            ended = self._ended[backend] = deque(maxlen=KEPT)
        ended.append((begun, change.state, change.data, at))

    def since(self, backend: str, time: datetime) -> list[TimelineAttempt]:
        """The attempts of this backend that ran at this time or later, the oldest first."""
        found = [_ended(*each) for each in self._ended.get(backend, ())]
        running = (state for state in self._running() if state.attempts[-1].backend == backend)
        found += map(_begun, running)
        found.sort(key=_started_at)
        return [one for one in _in_lanes(found) if one.ended_at is None or one.ended_at >= time]


def _begun(state: TaskState) -> TimelineAttempt:
    started_at = state.attempts[-1].started_at
    return TimelineAttempt(task_id=state.id, model=state.terms.model, lane=0, started_at=started_at)


def _ended(
    begun: TaskState, state: TaskState, data: dict[str, object] | None, at: datetime
) -> TimelineAttempt:
    run = _begun(begun)
    attempt = state.attempts[-1] if state.attempts else None
    if attempt is None or attempt.started_at != run.started_at:
        return replace(run, ended_at=at, ended="put_back")  # the backend had not begun
    failed = "retry_count" in (data or {})
    return replace(
        run,
        ended_at=attempt.ended_at or at,
        ended=_ENDS.get(state.status, "failed" if failed else "put_back"),
        first_token_at=attempt.first_token_at,
        waited_inside=attempt.waited_inside,
        load=attempt.load,
    )


def _in_lanes(attempts: Iterable[TimelineAttempt]) -> Iterator[TimelineAttempt]:
    """The attempts, which are in order, each in the first lane that is free by then."""
    busy: list[tuple[datetime, int]] = []
    free: list[int] = []
    lanes = 0
    for one in attempts:
        while busy and busy[0][0] <= one.started_at:
            heappush(free, heappop(busy)[1])
        if free:
            lane = heappop(free)
        else:
            lane, lanes = lanes, lanes + 1
        if one.ended_at is not None:
            heappush(busy, (one.ended_at, lane))
        yield replace(one, lane=lane)


def _started_at(attempt: TimelineAttempt) -> datetime:
    return attempt.started_at

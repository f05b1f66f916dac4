"""What is told of when waiting tasks start and end, in the words of users."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

import trio

from oq.rules.board import Board
from oq.rules.calibration import Interval
from oq.rules.place import Place
from oq.words.clock import Clock
from oq.words.durations import TEN_YEARS, Time, seconds_of
from oq.words.errors import WaitTooLong
from oq.words.task import Eta, TimeRange, Waiting
from oq.words.terms import Terms

SOONEST, LATEST = 1.0, 60.0
"""Seconds: the bounds of what a client is asked to wait when the queue is full."""


class Outlook:
    """Asks the board's forecast, and gives its answers as times of the clock."""

    def __init__(self, board: Board, clock: Clock) -> None:
        self._board = board
        self._clock = clock

    def eta(self, task_id: str) -> Eta | None:
        """When a task that waits for a slot starts and ends; None if that cannot be told."""
        if self._stands:
            return None
        estimate = self._board.forecast.of(task_id, trio.current_time())
        if estimate is None:
            return None
        now = self._clock.now().timestamp()
        return Eta(_range(now, estimate.starts), _range(now, estimate.ends))

    def header(self, task_id: str) -> str | None:
        """The value of X-OQ-ETA: in how many seconds it starts."""
        if self._stands:
            return None
        estimate = self._board.forecast.of(task_id, trio.current_time())
        if estimate is None:
            return None
        p10, p50, p90 = (min(seconds, TEN_YEARS) for seconds in estimate.starts)
        return f"{p50:.1f};p10={p10:.1f};p90={p90:.1f}"

    def waiting(self, task_id: str) -> Waiting:
        """Where a task stands; number 0 if it does not wait."""
        return Waiting(self._board.position(task_id) or 0, self.eta(task_id))

    def check(self, tasks: Iterable[Terms], max_wait: Time) -> None:
        """WaitTooLong if a task with one of these terms would wait for longer than that. One that
        is to run later waits as its user wishes.
        """
        most, now = seconds_of("X-OQ-Max-Wait", max_wait), trio.current_time()
        places = {
            Place(terms.priority, terms.model, load=terms.load, tenant=terms.tenant)
            for terms in tasks
            if terms.run_at is None
        }
        if self._stands:
            return
        for place in places:
            estimate = self._board.forecast.of_next(place, now)
            if estimate is not None and estimate.starts.p50 > most:
                raise WaitTooLong(min(estimate.starts.p50, TEN_YEARS), most)

    def retry_after(self, tasks: int) -> float:
        """Seconds until so many tasks have started, within bounds; the upper one while it cannot be
        told.
        """
        wait = None if self._stands else self._board.forecast.until_started(tasks)
        return LATEST if wait is None else min(LATEST, max(SOONEST, wait))

    def empty_at(self) -> datetime | None:
        """When all that waits or runs has ended, if no more comes; None if that cannot be told."""
        if self._stands:
            return None
        wait = self._board.forecast.until_empty(trio.current_time())
        return None if wait is None else _time(self._clock.now().timestamp(), wait)

    @property
    def _stands(self) -> bool:
        """Whether nothing starts, and nobody knows until when."""
        return self._board.paused or self._board.draining


def _range(now: float, interval: Interval) -> TimeRange:
    return TimeRange(*(_time(now, seconds) for seconds in interval))


def _time(now: float, seconds: float) -> datetime:
    """To a tenth of a second: it is an estimate."""
    return datetime.fromtimestamp(round(now + min(seconds, TEN_YEARS), 1), UTC)

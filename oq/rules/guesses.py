"""Guesses of when tasks start and end, which are remembered until it is known how right they were.

A few a second are enough, and so no task pays for them. Some are of tasks that have just come, and
some of those that have waited for long since the last guess of them: else nothing would be known of
short waits while the line is long, nor of how good the guesses are by now.
"""

from __future__ import annotations

from math import inf
from typing import NamedTuple

from msgspec import Struct

from oq.rules.calibration import Calibration, CalibrationRecord, Interval

REMEMBERED = 4096
"""Tasks of which guesses are remembered."""
APART = 0.02
"""Seconds between two guesses that are remembered."""
LOOKED_AT = 4
"""Tasks that are looked at for one of which a new guess is due."""


class Guess(NamedTuple):
    """Seconds from now until a task starts, and until it has ended. `situation` is a number for how
    it was guessed, and of what kind of task.
    """

    situation: int
    starts: float
    ends: float


class Estimate(NamedTuple):
    """When a task starts and when it has ended, in seconds from now."""

    starts: Interval
    ends: Interval


class _Told(NamedTuple):
    guess: Guess
    estimate: Estimate
    at: float


class GuessesRecord(Struct, frozen=True, array_like=True):
    """What is kept over a restart."""

    starts: CalibrationRecord
    ends: CalibrationRecord


class Guesses:
    """What was told of some tasks, and what is known by that of all guesses."""

    def __init__(self) -> None:
        self._starts, self._ends = Calibration(), Calibration()
        self._waiting: dict[str, list[_Told]] = {}
        self._running: dict[str, list[_Told]] = {}
        self._next = -inf  # when one may be remembered
        self._was_new = False
        self._round: list[str] = []  # those of which a new guess may be due

    def estimate(self, guess: Guess) -> Estimate:
        """The guess as intervals."""
        return Estimate(
            self._starts.interval(guess.situation, guess.starts),
            self._ends.interval(guess.situation, guess.ends),
        )

    def due(self, now: float) -> bool:
        """Whether one may be remembered now."""
        return now >= self._next

    def wanted(self, came: str | None, now: float) -> str | None:
        """The task of which a guess is to be remembered, when that is due. `came` is one that has
        just come, and waits.
        """
        new = came is not None and came not in self._waiting and len(self._waiting) < REMEMBERED
        if new and not self._was_new:
            self._was_new = True
            return came
        self._was_new = False
        if not self._round:
            self._round = list(self._waiting)
        for _ in range(min(LOOKED_AT, len(self._round))):
            task_id = self._round.pop()
            told = self._waiting.get(task_id)
            if told is not None and now - told[-1].at > told[-1].guess.starts / 2:
                return task_id
        return None

    def remember(self, task_id: str, guess: Guess, now: float) -> None:
        self._next = now + APART
        self._waiting.setdefault(task_id, []).append(_Told(guess, self.estimate(guess), now))

    @property
    def some_wait(self) -> bool:
        """Whether something is remembered of a task that waits."""
        return bool(self._waiting)

    @property
    def some_run(self) -> bool:
        """Whether something is remembered of a task that runs."""
        return bool(self._running)

    def started(self, task_id: str, now: float) -> None:
        told = self._waiting.pop(task_id, None)
        if told is None:
            return
        for guess, estimate, at in told:
            self._starts.score(guess.situation, guess.starts, estimate.starts, now - at)
        if len(self._running) < REMEMBERED:
            self._running[task_id] = told

    def ended(self, task_id: str, now: float, *, served: bool) -> None:
        told = self._running.pop(task_id, None)
        if told is None or not served:
            return
        for guess, estimate, at in told:
            self._ends.score(guess.situation, guess.ends, estimate.ends, now - at)

    def forget(self, task_id: str) -> None:
        """It will not start."""
        self._waiting.pop(task_id, None)

    def record(self) -> GuessesRecord:
        return GuessesRecord(self._starts.record(), self._ends.record())

    def restore(self, record: GuessesRecord) -> None:
        self._starts.restore(record.starts)
        self._ends.restore(record.ends)

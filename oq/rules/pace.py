"""How fast one backend works off a line: what a second of expected work costs, and what a swap."""

from __future__ import annotations

from math import inf

from msgspec import Struct

STARTS = 32
"""Starts in a stretch of time that is measured."""
FADES = 0.95
"""What an older stretch counts for, at each new one."""
IDLE = 1.0
"""A backend that did nothing for so many seconds had nothing to do, or could not."""


class PaceRecord(Struct, frozen=True, array_like=True):
    """The sums of the least squares: by work and swaps, and by each with the time that it took."""

    work_work: float = 0.0
    work_swaps: float = 0.0
    swaps_swaps: float = 0.0
    work_time: float = 0.0
    swaps_time: float = 0.0


class Pace:
    """Stretches of starts while others wait: how long each took, how much work started in it, and
    how many times another model was loaded. The time is fitted as a price for each (least squares).
    """

    __slots__ = ("_idle_from", "_last", "_n", "_sums", "_swaps", "_time", "_waited", "_work")

    def __init__(self) -> None:
        self._sums = [0.0] * 5
        self._last = 0.0
        self._idle_from = inf
        self._waited = False  # whether some waited when the last one had started
        self._n = self._swaps = 0
        self._work = self._time = 0.0

    def started(
        self, tasks: int, work: float, now: float, *, swap: bool, waits: bool
    ) -> float | None:
        """So many tasks have started, of so many seconds of expected work in all. `waits`: others
        still do. The seconds since the last start, if some waited all the time.
        """
        took = None
        if self._waited and now - self._idle_from <= IDLE:
            took = now - self._last
            self._n += tasks
            self._swaps += swap
            self._work += work
            self._time += took
            if self._n >= STARTS:
                self._note_stretch()
        self._last, self._waited, self._idle_from = now, waits, inf
        return took

    def idle(self, now: float) -> None:
        """Nothing runs on it from now on, until the next start. Of several times the first counts:
        it may be told of a later one before it is told of the start in between.
        """
        self._idle_from = min(self._idle_from, now)

    def interrupt(self) -> None:
        """What waits cannot start now, or could not until now, for another reason than that others
        run: the time until the next start says nothing.
        """
        self._waited = False

    @property
    def known(self) -> bool:
        """Whether a stretch was measured."""
        return self._sums[0] > 0.0

    def prices(self, slots: int, load: float) -> tuple[float, float]:
        """Seconds of time for a second of work, and for a swap. Before anything was measured, by
        how many tasks are served at once and how long a load takes.
        """
        work_work, work_swaps, swaps_swaps, work_time, swaps_time = self._sums
        if not work_work:
            return 1 / max(1, slots), load
        determinant = work_work * swaps_swaps - work_swaps**2
        if determinant <= 1e-9 * work_work * swaps_swaps:
            return work_time / work_work, load
        work = (work_time * swaps_swaps - swaps_time * work_swaps) / determinant
        swap = (swaps_time * work_work - work_time * work_swaps) / determinant
        if work < 0.0:
            return 0.0, swaps_time / swaps_swaps
        if swap < 0.0:
            return work_time / work_work, 0.0
        return work, swap

    def record(self) -> PaceRecord:
        return PaceRecord(*self._sums)

    def restore(self, record: PaceRecord) -> None:
        self._sums = [
            record.work_work, record.work_swaps, record.swaps_swaps, record.work_time,
            record.swaps_time,
        ]  # fmt: skip

    def _note_stretch(self) -> None:
        work, swaps, time = self._work, self._swaps, self._time
        latest = work * work, work * swaps, swaps * swaps, work * time, swaps * time
        self._sums = [old * FADES + new for old, new in zip(self._sums, latest, strict=True)]
        self._n = self._swaps = 0
        self._work = self._time = 0.0

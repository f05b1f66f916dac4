"""What happened lately, in two rings of buckets: the last quarter of an hour and the last day.

Durations are counted in steps that grow by a twelfth, so a percentile is off by 4 % at most, and a
bucket holds a few hundred numbers however many tasks there were.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import exp2, floor, log2

from oq.words.stats import Point as Point

STEPS = 9
"""Steps from one duration to its double."""
SHORTEST, LONGEST = 0.0001, 30 * 86400.0
"""Seconds: what is shorter or longer counts as these."""


@dataclass(frozen=True, slots=True)
class Window:
    """So many buckets of so many seconds."""

    interval: int
    buckets: int


WINDOWS = {"15m": Window(10, 90), "24h": Window(300, 288)}


class Durations:
    """A histogram of seconds, in steps (see `step_of`) that grow with them."""

    __slots__ = ("_counts", "_total")

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()
        self._total = 0

    def add(self, steps: Sequence[int]) -> None:
        self._counts.update(steps)
        self._total += len(steps)

    def quantile(self, share: float) -> float | None:
        """Seconds that this share of them did not exceed; the middle of the step it falls into."""
        left = share * self._total
        for step in sorted(self._counts):
            left -= self._counts[step]
            if left <= 0:
                return round(exp2((step + 0.5) / STEPS), 6)
        return None


def step_of(seconds: float) -> int:
    return floor(log2(min(max(seconds, SHORTEST), LONGEST)) * STEPS)


@dataclass(slots=True)
class Bucket:
    """One interval: the number of it since 1970, and what happened in it."""

    number: int
    counts: Counter[str] = field(default_factory=Counter)
    waits: Durations = field(default_factory=Durations)
    runs: Durations = field(default_factory=Durations)

    def point(self, interval: int) -> Point:
        return Point(
            t=_time(self.number * interval),
            wait_p50=self.waits.quantile(0.5),
            wait_p95=self.waits.quantile(0.95),
            run_p50=self.runs.quantile(0.5),
            run_p95=self.runs.quantile(0.95),
            **self.counts,
        )


class _Ring:
    """The buckets of one window, by number; intervals in which nothing happened have none."""

    def __init__(self, window: Window) -> None:
        self.window = window
        self._buckets: dict[int, Bucket] = {}

    def at(self, seconds: float) -> Bucket:
        """The bucket of this time, whatever came before: the clock may have been set. What was
        counted under a time that now is to come again is dropped: it did not happen then.
        """
        number = int(seconds // self.window.interval)
        bucket = self._buckets.get(number)
        if bucket is None:
            bucket = self._add(number)
        return bucket

    def _add(self, number: int) -> Bucket:
        for ahead in [each for each in self._buckets if each > number + 1]:
            del self._buckets[ahead]
        if len(self._buckets) >= self.window.buckets:
            del self._buckets[next(iter(self._buckets))]
        bucket = self._buckets[number] = Bucket(number)
        return bucket

    def points(self, seconds: float) -> list[Point]:
        interval = self.window.interval
        last = int(seconds // interval)
        found = self._buckets
        return [
            found[number].point(interval) if number in found else Point(t=_time(number * interval))
            for number in range(last - self.window.buckets + 1, last + 1)
        ]


class History:
    """Counts by interval. All times are those of the events, or given."""

    def __init__(self) -> None:
        self._rings = {name: _Ring(window) for name, window in WINDOWS.items()}
        self._time: datetime | None = None
        self._buckets: list[Bucket] = []  # those of this time

    def count(self, at: datetime, what: str, number: int = 1) -> None:
        """So many more of these (a field of `Point`) happened."""
        for bucket in self._at(at):
            bucket.counts[what] += number

    def waited(self, at: datetime, seconds: Sequence[float]) -> None:
        """Tasks were started that had waited so long."""
        steps = [step_of(each) for each in seconds]
        for bucket in self._at(at):
            bucket.waits.add(steps)

    def ran(self, at: datetime, seconds: Sequence[float]) -> None:
        """Attempts ended that ran so long."""
        steps = [step_of(each) for each in seconds]
        for bucket in self._at(at):
            bucket.runs.add(steps)

    def points(self, window: str, now: datetime) -> list[Point]:
        """Every interval of this window up to now, the oldest first."""
        return self._rings[window].points(now.timestamp())

    def _at(self, at: datetime) -> list[Bucket]:
        """The buckets of this time; the events of one commit carry the very same."""
        if at is not self._time:
            seconds = at.timestamp()
            self._time, self._buckets = at, [ring.at(seconds) for ring in self._rings.values()]
        return self._buckets


def _time(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)

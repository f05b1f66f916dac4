"""What happened lately, in two rings of intervals: the last quarter of an hour and the last day.

Each interval has a slot of its ring, and each slot a record of its own that is kept over a restart:
what changes from one writing to the next are a few small records. When oq did not run is kept too,
so that nobody takes a gap for a time in which nothing happened.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from oq.rules.tallies import Bucket, Tally, merged, read_bucket, step_of
from oq.words.stats import COUNTED
from oq.words.stats import Point as Point
from oq.words.steps import Kept


@dataclass(frozen=True, slots=True)
class Window:
    """So many buckets of so many seconds."""

    interval: int
    buckets: int


WINDOWS = {"15m": Window(10, 90), "24h": Window(300, 288)}
FINE = WINDOWS["15m"].interval
"""Seconds of the shortest interval."""
SESSIONS = 100
"""The latest times of running that are known."""
_SESSIONS = "ran"
"""The name of their record; those of slots are a window and a number."""

_decode_sessions = msgspec.json.Decoder(list[tuple[float, float]]).decode


class Interval(NamedTuple):
    """What happened in one interval to each model: from when on, in seconds, and whether oq ran."""

    start: int
    ran: bool
    models: Mapping[str, Tally]


class _Ring:
    """The buckets of one window, by number; intervals in which nothing happened have none."""

    def __init__(self, window: Window) -> None:
        self.window = window
        self._changed: set[int] = set()  # the numbers of those that are not kept as they are now
        self._buckets: dict[int, Bucket] = {}
        self._last = 0

    def at(self, seconds: float) -> Bucket:
        """The bucket of this time, which is now, whatever came before: the clock may have been set.
        What was counted under a time that now is to come again is dropped: it did not happen then.
        """
        number = int(seconds // self.window.interval)
        if number != self._last:
            self._last = number
            for ahead in [each for each in self._buckets if each > number + 1]:
                del self._buckets[ahead]
        return self._take(number)

    def past(self, seconds: float) -> Bucket | None:
        """The bucket of this time; None if it is older than the window."""
        number = int(seconds // self.window.interval)
        inside = self._last - self.window.buckets < number <= self._last
        return self._take(number) if inside else None

    def _take(self, number: int) -> Bucket:
        self._changed.add(number)
        bucket = self._buckets.get(number)
        if bucket is None:
            bucket = self._buckets[number] = Bucket(number)
            if len(self._buckets) > self.window.buckets:
                del self._buckets[min(self._buckets)]
        return bucket

    def shown(self, seconds: float) -> list[tuple[int, Bucket | None]]:
        """Every interval of the window up to this time, the oldest first; None: nothing happened
        in it.
        """
        last = int(seconds // self.window.interval)
        first = last - self.window.buckets + 1
        return [(number, self._buckets.get(number)) for number in range(first, last + 1)]

    def records(self) -> Iterator[tuple[int, bytes]]:
        """Those that are not kept yet, each with the number of its slot."""
        changed, self._changed = self._changed, set()
        for number in sorted(changed):
            bucket = self._buckets.get(number)
            if bucket is not None:
                yield number % self.window.buckets, bucket.record()

    def note_unkept(self, slot: int) -> None:
        """What is in this slot could not be written."""
        size = self.window.buckets
        self._changed.update(number for number in self._buckets if number % size == slot)

    def restore(self, bucket: Bucket, seconds: float) -> None:
        """A bucket that was kept."""
        last = int(seconds // self.window.interval)
        if last - self.window.buckets < bucket.number <= last:
            self._buckets[bucket.number] = bucket


class History:
    """Counts by interval and model. All times are those of the events, or given. Nothing is kept
    before `begin`: a queue whose history nobody reads has none.
    """

    def __init__(self) -> None:
        self.on_change: Callable[[], None] = _nothing
        """Called when something has happened that is not kept yet."""
        self._begun = False
        self._rings = {name: _Ring(window) for name, window in WINDOWS.items()}
        self._sessions: list[tuple[float, float]] = []  # from when to when oq has run, in seconds
        self._time: datetime | None = None
        self._number: int | None = None  # of the short interval of this time
        self._buckets: list[Bucket] = []  # those of this time

    # -- what happened

    def begin(self, now: datetime) -> None:
        """It is counted from now on."""
        self._begun = True
        seconds = now.timestamp()
        self._sessions = [*self._sessions[1 - SESSIONS :], (seconds, seconds)]

    def count(self, at: datetime, model: str, what: str, number: int = 1) -> None:
        """So many more of these (a field of `Point`) happened to this model."""
        for bucket in self._at(at):
            bucket.of(model).counts[what] += number

    def add(
        self,
        at: datetime,
        model: str,
        counts: Mapping[str, int],
        waited: Sequence[float] = (),
        ran: Sequence[float] = (),
    ) -> None:
        """The same for several at once; tasks were started that had waited so long, and attempts
        ended that ran so long.
        """
        waits, runs = [step_of(each) for each in waited], [step_of(each) for each in ran]
        for bucket in self._at(at):
            tally = bucket.of(model)
            for what, number in counts.items():  # `update` takes three times as long
                tally.counts[what] += number
            if waits:
                tally.waits.add(waits)
            if runs:
                tally.runs.add(runs)

    def spread(
        self, now: datetime, model: str, what: str, number: int, start: float, end: float
    ) -> None:
        """So many of these happened, evenly, between these two times in seconds."""
        self._at(now)
        took = max(end - start, 0.001)
        for ring in self._rings.values():
            interval = ring.window.interval
            at = max(end - took, end - interval * ring.window.buckets)
            told = round(number * (1 - (end - at) / took))
            while at < end:
                until = min(end, (at // interval + 1) * interval)
                so_far = round(number * (1 - (end - until) / took))
                _add(ring.past(at), model, what, so_far - told)
                at, told = until, so_far

    def correct(self, now: datetime, model: str, what: str, fine: int, number: int) -> None:
        """In the short interval with this number there were so many more of these, or fewer."""
        self._at(now)
        for ring in self._rings.values():
            _add(ring.past(fine * FINE), model, what, number)

    def _at(self, at: datetime) -> list[Bucket]:
        """The buckets of this time; the events of one commit carry the very same."""
        if at is not self._time:
            self._time, seconds = at, at.timestamp()
            number = int(seconds // FINE)  # the longer intervals end with one of these
            if number != self._number:
                self._number = number
                self._buckets = [ring.at(seconds) for ring in self._rings.values()]
                self.on_change()
        return self._buckets

    # -- what is shown

    def intervals(self, window: str, now: datetime) -> list[Interval]:
        """Every interval of this window up to now, the oldest first."""
        ring = self._rings[window]
        length = ring.window.interval
        return [
            Interval(
                number * length,
                self._ran(number * length, (number + 1) * length, now),
                {} if bucket is None else bucket.models,
            )
            for number, bucket in ring.shown(now.timestamp())
        ]

    def points(self, window: str, now: datetime, model: str | None = None) -> list[Point]:
        """The same of one model, or of all together."""
        return [_point(each, model) for each in self.intervals(window, now)]

    def _ran(self, start: float, end: float, now: datetime) -> bool:
        """Whether oq ran at any time between these two."""
        if self._begun and now.timestamp() >= start and self._sessions[-1][0] < end:
            return True
        return any(began < end and seen >= start for began, seen in self._sessions)

    # -- what is kept

    def steps(self, now: datetime) -> list[Kept]:
        """What is not kept yet, to be written now."""
        if not self._begun:
            return []
        self._time = self._number = None  # so that what comes next counts as a change
        self._sessions[-1] = self._sessions[-1][0], now.timestamp()
        steps = [Kept(_SESSIONS, msgspec.json.encode(self._sessions))]
        for name, ring in self._rings.items():
            steps += [Kept(f"{name} {slot}", record) for slot, record in ring.records()]
        return steps

    def note_unkept(self, steps: Iterable[Kept]) -> None:
        """These could not be written."""
        for step in steps:
            if step.name != _SESSIONS:
                name, _, slot = step.name.partition(" ")
                self._rings[name].note_unkept(int(slot))

    def restore(self, kept: Mapping[str, bytes], now: datetime) -> None:
        """What was kept. A record that cannot be read is left out."""
        seconds = now.timestamp()
        for name, record in kept.items():
            ring = self._rings.get(name.partition(" ")[0])
            bucket = None if ring is None else read_bucket(record)
            if ring is not None and bucket is not None:
                ring.restore(bucket, seconds)
        try:
            self._sessions = _decode_sessions(kept.get(_SESSIONS, b"[]"))
        except msgspec.MsgspecError:
            self._sessions = []


def _nothing() -> None:
    pass


def _add(bucket: Bucket | None, model: str, what: str, number: int) -> None:
    if bucket is not None and number:
        counts: Counter[str] = bucket.of(model).counts
        counts[what] = max(0, counts[what] + number)


def _point(interval: Interval, model: str | None) -> Point:
    if model is None:
        tally = merged(interval.models.values())
    else:
        tally = interval.models.get(model) or Tally()
    return Point(
        t=datetime.fromtimestamp(interval.start, UTC),
        ran=interval.ran,
        wait_p50=tally.waits.quantile(0.5),
        wait_p95=tally.waits.quantile(0.95),
        run_p50=tally.runs.quantile(0.5),
        run_p95=tally.runs.quantile(0.95),
        **{name: tally.counts[name] for name in COUNTED},
    )

"""How far estimates of times are to be trusted: the quantiles of what they were wrong by lately.

What counts is the ratio of the true time to the estimate. The ratios are kept by situation and by
octave of the estimate: one of seconds is not wrong in the way in which one of hours is. An interval
is the estimate times the quantiles of the ratios of its like, so it holds as often as it says,
whatever is wrong with the estimates (split conformal prediction: Vovk et al., Algorithmic Learning
in a Random World, 2005). Where what was seen is not what comes, because the traffic changes, the
quantiles that are taken move until the intervals hold (adaptive conformal inference: Gibbs and
Candès, NeurIPS 2021).

Of each kind a sample of the ratios is kept, of which a new one replaces any at random. So the older
ones count for less and less (biased reservoir sampling: Aggarwal, VLDB 2006).
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable
from math import exp, frexp, log
from random import Random
from typing import NamedTuple

from msgspec import Struct

KEPT = 128
"""Ratios of each kind that are kept."""
MEMORY = 256
"""About so many are remembered: of those that come one in MEMORY / KEPT is kept."""
RECORDED = 32
"""Of those that are kept so many outlast a restart."""
ENOUGH = 16
"""With fewer ratios than that, those of the nearest octave count."""
FLOOR = 0.1
"""Seconds that are added to each time: differences below that do not matter."""
LEAST = 0.03
"""No time is known better than that, as a logarithm: what is to come may be of another kind."""
UNKNOWN = 1.5
"""The logarithm by which an estimate may be wrong while nothing is known."""
LOW, HIGH = 0.1, 0.9
FARTHEST = UNKNOWN / (HIGH - LOW)
"""The logarithm of the most by which such an estimate is taken to be wrong."""
GAIN = 0.003
"""By how much the quantiles that are taken move for each interval that does not hold."""
BEYOND = 0.5
"""How far they may move beyond all that was seen."""
OCTAVES = range(-3, 28)
"""The octaves of estimates, up to four years."""


class Interval(NamedTuple):
    """Quantiles of a time, in seconds: in one of ten cases it is less than `p10`, in one of two
    less than `p50`, in nine of ten less than `p90`.
    """

    p10: float
    p50: float
    p90: float


class _Ratios:
    """The logarithms of the ratios of one kind, in order; `seen` is how many there were."""

    __slots__ = ("seen", "values")

    def __init__(self, values: Iterable[float] = (), seen: int = 0) -> None:
        self.values = sorted(values)
        self.seen = max(seen, len(self.values))

    def add(self, value: float, random: Random) -> None:
        self.seen += 1
        if len(self.values) >= KEPT:
            if random.random() * min(self.seen, MEMORY) >= KEPT:
                return
            del self.values[random.randrange(len(self.values))]
        insort(self.values, value)


class CalibrationRecord(Struct, frozen=True, array_like=True):
    """What is kept of a calibration: situation, octave, how many were seen, and some of them; and
    the quantiles that are taken, by situation.
    """

    kinds: list[tuple[int, int, int, list[float]]] = []
    taken: dict[int, tuple[float, float]] = {}


class Calibration:
    """The ratios of all kinds. A situation is any small number."""

    def __init__(self) -> None:
        self._kinds: dict[tuple[int, int], _Ratios] = {}
        self._taken: dict[int, tuple[float, float]] = {}
        self._factors: dict[tuple[int, int], Interval] = {}  # until the next score
        self._random = Random(1)  # noqa: S311 - which ratios are kept is no secret

    def interval(self, situation: int, estimate: float) -> Interval:
        """Where the true time is, by what estimates of this kind were wrong by."""
        kind = situation, _octave(estimate)
        p10, p50, p90 = self._factors.get(kind) or self._factors_of(kind)
        base = estimate + FLOOR
        return Interval(
            max(0.0, base * p10 - FLOOR), max(0.0, base * p50 - FLOOR), max(0.0, base * p90 - FLOOR)
        )

    def score(self, situation: int, estimate: float, told: Interval, actual: float) -> None:
        """An estimate, for which this interval was told, has turned out to be so many seconds."""
        low, high = self._taken.get(situation, (LOW, HIGH))
        low += GAIN * (LOW - (actual < told.p10))
        high += GAIN * (HIGH - (actual <= told.p90))
        self._taken[situation] = min(0.5, max(-BEYOND, low)), max(0.5, min(1 + BEYOND, high))
        ratio = log((max(0.0, actual) + FLOOR) / (estimate + FLOOR))
        kind = situation, _octave(estimate)
        self._kinds.setdefault(kind, _Ratios()).add(ratio, self._random)
        self._factors.clear()

    def record(self) -> CalibrationRecord:
        """What was seen, for `restore`."""
        kinds = [
            (situation, octave, ratios.seen, _some(ratios.values))
            for (situation, octave), ratios in self._kinds.items()
        ]
        return CalibrationRecord(kinds, self._taken)

    def restore(self, record: CalibrationRecord) -> None:
        for situation, octave, seen, values in record.kinds:
            if octave in OCTAVES:
                self._kinds[situation, octave] = _Ratios(values[:KEPT], seen)
        self._taken = dict(record.taken)
        self._factors.clear()

    def _factors_of(self, kind: tuple[int, int]) -> Interval:
        """By what an estimate of this kind is multiplied."""
        values = self._like(*kind)
        low, high = self._taken.get(kind[0], (LOW, HIGH))
        middle = _quantile(values, 0.5)
        factors = self._factors[kind] = Interval(
            exp(min(middle - LEAST, _quantile(values, low))),
            exp(middle),
            exp(max(middle + LEAST, _quantile(values, high))),
        )
        return factors

    def _like(self, situation: int, octave: int) -> list[float]:
        """The ratios of this kind. If there are few, those of the nearest octave that has enough.
        Beyond the next one their middle says nothing, and they are the further apart the further
        that octave is, towards those of what is not known.
        """
        ratios = self._kinds.get((situation, octave))
        if ratios is not None and ratios.seen >= ENOUGH:
            return ratios.values
        known = [
            (abs(other - octave), other)
            for (of, other), found in self._kinds.items()
            if of == situation and found.seen >= ENOUGH
        ]
        if not known:
            return _NOTHING
        away, nearest = min(known)
        values = self._kinds[situation, nearest].values
        if away == 1:
            return values
        middle, last = _quantile(values, 0.5), len(values) - 1
        unknown = FARTHEST * (1 - 2.0 ** (1 - away))
        return [
            value - middle + unknown * (2 * rank / last - 1) for rank, value in enumerate(values)
        ]


_NOTHING = [FARTHEST * (2 * n / KEPT - 1) for n in range(KEPT + 1)]
"""The ratios of what is not known, evenly around 1."""


def _quantile(values: list[float], level: float) -> float:
    """The value below which so large a share of all is to be expected: of n + 1 values of one kind
    each place is as likely for the last one. Beyond them all it goes on in a line.
    """
    last = len(values) - 1
    rank = level * (last + 2) - 1
    if 0 <= rank < last:
        below = int(rank)
        return values[below] + (values[below + 1] - values[below]) * (rank - below)
    spread = (values[last] - values[0]) / (last + 1)
    return values[0] + spread * rank if rank < 0 else values[last] + spread * (rank - last)


def _some(values: list[float]) -> list[float]:
    """At most RECORDED of them, evenly over their ranks."""
    if len(values) <= RECORDED:
        return [round(value, 4) for value in values]
    step = (len(values) - 1) / (RECORDED - 1)
    return [round(values[round(n * step)], 4) for n in range(RECORDED)]


def _octave(estimate: float) -> int:
    return min(max(frexp(estimate + FLOOR)[1], OCTAVES[0]), OCTAVES[-1])

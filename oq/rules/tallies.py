"""What happened in one interval of time, counted for each model, and how it is kept.

Durations are counted in steps that grow by a twelfth, so a percentile is off by 4 % at most, and a
tally holds a few hundred numbers however many tasks there were.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from math import exp2, floor, log2

import msgspec
from msgspec import Struct

STEPS = 9
"""Steps from one duration to its double."""
SHORTEST, LONGEST = 0.0001, 30 * 86400.0
"""Seconds: what is shorter or longer counts as these."""
MAX_MODELS = 50
"""Models that have a tally of their own in one interval. The others share OTHERS, so that a client
that makes up names fills neither the memory nor the disk."""
OTHERS = ""
"""In the place of a model's name: all models that have no tally of their own."""


class Durations:
    """A histogram of seconds, in steps (see `step_of`) that grow with them."""

    __slots__ = ("_counts", "_total")

    def __init__(self, counts: dict[int, int] | None = None) -> None:
        self._counts: Counter[int] = Counter(counts)
        self._total = sum(self._counts.values())

    @property
    def counts(self) -> dict[int, int]:
        return self._counts

    def add(self, steps: Sequence[int]) -> None:
        for step in steps:  # mostly a few, and then `update` takes longer
            self._counts[step] += 1
        self._total += len(steps)

    def merge(self, other: Durations) -> None:
        for step, number in other._counts.items():  # `update` takes longer where these are few
            self._counts[step] += number
        self._total += other._total

    def quantile(self, share: float) -> float | None:
        """Seconds that this share of them did not exceed; the middle of the step it falls into."""
        left = share * self._total
        for step in sorted(self._counts):
            left -= self._counts[step]
            if left <= 0:
                return round(exp2((step + 0.5) / STEPS), 6)
        return None


def step_of(seconds: float) -> int:
    if seconds < SHORTEST:
        seconds = SHORTEST
    elif seconds > LONGEST:
        seconds = LONGEST
    return floor(log2(seconds) * STEPS)


class Tally:
    """What happened: how often, how long tasks waited, and how long attempts ran."""

    __slots__ = ("counts", "runs", "waits")

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.waits = Durations()
        self.runs = Durations()

    def merge(self, other: Tally) -> None:
        for what, number in other.counts.items():
            self.counts[what] += number
        self.waits.merge(other.waits)
        self.runs.merge(other.runs)


def merged(tallies: Iterable[Tally]) -> Tally:
    """All of it together."""
    found = Tally()
    for tally in tallies:
        found.merge(tally)
    return found


class _KeptTally(Struct, array_like=True):
    counts: dict[str, int]
    waits: dict[int, int]
    runs: dict[int, int]


class _KeptBucket(Struct, array_like=True):
    number: int
    models: dict[str, _KeptTally]


_decode = msgspec.json.Decoder(_KeptBucket).decode


class Bucket:
    """One interval: the number of it since 1970, and what happened in it to each model."""

    __slots__ = ("models", "number")

    def __init__(self, number: int) -> None:
        self.number = number
        self.models: dict[str, Tally] = {}

    def of(self, model: str) -> Tally:
        """The tally of this model, or the one that it shares."""
        tally = self.models.get(model)
        if tally is None:
            if len(self.models) >= MAX_MODELS:
                model = self._make_room(model)
            tally = self.models.setdefault(model, Tally())
        return tally

    def _make_room(self, model: str) -> str:
        """Under which name this one is counted. A model of which no task has ever got an answer
        makes room for another: its name may be made up.
        """
        for name, tally in self.models.items():
            if name != OTHERS and not (tally.counts["completed"] or tally.counts["tokens"]):
                self.models.setdefault(OTHERS, Tally()).merge(self.models.pop(name))
                return model
        return OTHERS

    def record(self) -> bytes:
        """How it is kept."""
        kept = {
            name: _KeptTally(dict(tally.counts), dict(tally.waits.counts), dict(tally.runs.counts))
            for name, tally in self.models.items()
        }
        return msgspec.json.encode(_KeptBucket(self.number, kept))


def read_bucket(record: bytes) -> Bucket | None:
    """The bucket that was kept; None if it cannot be read."""
    try:
        kept = _decode(record)
    except msgspec.MsgspecError:
        return None
    bucket = Bucket(kept.number)
    for name, each in kept.models.items():
        tally = bucket.models[name] = Tally()
        tally.counts.update(each.counts)
        tally.waits = Durations(each.waits)
        tally.runs = Durations(each.runs)
    return bucket

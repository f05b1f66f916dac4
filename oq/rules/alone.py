"""How a task is served that runs alone: by that it is seen of others whether they had to wait."""

from __future__ import annotations

from oq.words.sample import Sample

WAITED = 0.1
"""Seconds inside a backend from which a task has waited there. One alone waits for .01 s."""
LEAST = 0.03
"""The same for tasks that are so short that they wait for less, at a third of their own time."""
LATE = 2.0
"""A first byte that comes so many times as late as alone says that the task waited for its turn."""
WHOLE = 0.9
"""The share of its time after which the first byte of an answer comes that is sent whole."""
WHOLE_LATE = 0.25
"""The share of its time alone by which such an answer may be late without having waited."""
SMOOTH = 0.3
"""The weight of the latest figure among those of tasks that ran alone."""


class Alone:
    """Of one load group of one backend. All in seconds, and None until a task has told:
    `took` from the hand-over to the end, `first` to the first byte, `pace` for each token. `beside`
    is to the first byte of one that ran with others and did not wait for any of them.
    """

    __slots__ = ("beside", "first", "pace", "took")

    def __init__(self) -> None:
        self.beside: float | None = None
        self.first: float | None = None
        self.pace: float | None = None
        self.took: float | None = None

    def note(self, sample: Sample) -> None:
        """This task ran alone."""
        self.took = _smoothed(self.took, own_time(sample))
        if _loaded(sample):
            return  # it says nothing of the next one
        if sample.first is not None:
            self.first = _smoothed(self.first, sample.first)
        if (pace := _pace(sample)) is not None:
            self.pace = _smoothed(self.pace, pace)

    def note_beside(self, sample: Sample) -> None:
        """This task ran with others, and its answer began before one of them had ended."""
        if sample.first is not None and not (_loaded(sample) or is_whole(sample)):
            self.beside = _smoothed(self.beside, sample.first)

    def time_of(self, sample: Sample) -> float | None:
        """Seconds that such a task would have taken alone."""
        if sample.tokens and self.pace is not None:
            return sample.tokens * self.pace
        return self.took

    @property
    def late(self) -> float | None:
        """Seconds from which a first byte is late."""
        known = [each for each in (self.first, self.beside) if each is not None]
        return LATE * max(known) + WAITED if known else None


def _loaded(sample: Sample) -> bool:
    """Whether its model had to be loaded first."""
    return sample.load is not None and sample.load > WAITED


def is_whole(sample: Sample) -> bool:
    """Whether its answer came in one piece, or nearly so."""
    return sample.first is None or sample.first >= WHOLE * sample.took


def limit_of(sample: Sample) -> float:
    """Seconds inside from which this task has waited there, if its backend says how long it did."""
    return min(WAITED, max(LEAST, own_time(sample) / 3))


def _pace(sample: Sample) -> float | None:
    """Seconds a token."""
    return sample.took / sample.tokens if sample.tokens else None


def own_time(sample: Sample) -> float:
    """Seconds that something was done for the task."""
    return max(0.0, sample.took - (sample.waited or 0.0) - (sample.load or 0.0))


def _smoothed(before: float | None, latest: float) -> float:
    return latest if before is None else before + SMOOTH * (latest - before)

"""How much a backend gets done in a second, by how many tasks it works on at once.

More at once are worth it only if all together get more done. That is not so where they share the
speed of one machine, and where they get into each other's way it is less.
"""

from __future__ import annotations

from dataclasses import dataclass

GAIN = 0.05
"""So much more throughput makes more tasks at once worth it, or a quarter of what it would be if
none slowed another."""
LEAST_GAIN = 0.02
CLEAR_GAIN = 1.15
"""A gain that is believed after one task. A lesser one may be chance."""
ENOUGH = 8
"""Tasks from which a throughput is believed; for a large number at once, more: a generation."""
ENOUGH_MOST = 32
FEW = 4
"""Tasks from which a clear gain is believed, if none ran alone."""
UNSIZED = 4
"""So many times as many if tasks do not say their tokens."""
UNSIZED_GAIN = 0.25
CLEAR_UNSIZED_GAIN = 1.5
"""What is a gain then."""
KEPT = 64
"""Tasks that a throughput is made of: older ones count less and less."""
STEADY = 0.25
"""How far the mean number at once, while a task ran, may be from the number that it counts for."""


@dataclass(slots=True)
class _Seen:
    """Tasks that ran while so many did: their work, in tokens of all that ran, and their time."""

    count: int = 0
    work: float = 0.0
    seconds: float = 0.0

    @property
    def pace(self) -> float:
        return self.work / self.seconds


class Throughput:
    """Of one load group of one backend, for each number of tasks at once. Times are in seconds of
    a clock that never goes back.
    """

    __slots__ = ("_at", "_seen", "_sized", "_task_seconds", "_tokens")

    def __init__(self) -> None:
        self._seen: dict[int, _Seen] = {}
        self._task_seconds = 0.0  # of all tasks together
        self._at = 0.0
        self._tokens = 1.0  # of one of which they are not known
        self._sized = True  # whether they are known of all

    def task_seconds(self, running: int, now: float) -> float:
        """Seconds of all tasks so far; `running` have run since it was asked last."""
        self._task_seconds += running * (now - self._at)
        self._at = now
        return self._task_seconds

    def note(self, at_once: int, mean: float, tokens: int | None, seconds: float) -> None:
        """A task that was sent as one of `at_once` was worked on for so long, while `mean` ran on
        average. Those that had been sent before others came may have been served before them.
        """
        self._sized = self._sized and bool(tokens)
        if tokens:
            self._tokens += (tokens - self._tokens) / 8
        if seconds <= 0.0 or abs(mean - at_once) > STEADY:
            return
        seen = self._seen.setdefault(at_once, _Seen())
        if seen.count == KEPT:
            seen.work -= seen.work / KEPT
            seen.seconds -= seen.seconds / KEPT
            seen.count -= 1
        seen.count += 1
        seen.work += mean * (tokens or self._tokens)
        seen.seconds += seconds

    def gains(self, many: int, few: int, *, sure: bool) -> bool | None:
        """Whether `many` at once get more done than `few`; None if that is not known yet. If it has
        to be `sure`, and tasks do not say their tokens, a gain that seems clear will not do.
        """
        more, less = self._seen.get(many), self._seen.get(few)
        if more is None:
            return None
        one = self._seen.get(1)
        gain, clear = (GAIN, CLEAR_GAIN) if self._sized else (UNSIZED_GAIN, CLEAR_UNSIZED_GAIN)
        clear = max(clear, 1.0 + (many / few - 1.0) / 2)
        worth = 1.0 + max(LEAST_GAIN, min(gain, (many / few - 1.0) / 4))
        if less is None and one is not None and self.known(many):
            # Two cannot get more done than twice what one does.
            return more.pace * one.seconds >= worth * few * one.work or None
        if less is None:
            return None
        quick = self._sized if sure else one is not None or more.count >= FEW
        if quick and more.pace >= clear * less.pace:
            return True
        if self.known(many) and self.known(few):
            return more.pace >= worth * less.pace
        return None

    def known(self, at_once: int) -> bool:
        """Whether enough tasks have been seen while so many ran."""
        seen = self._seen.get(at_once)
        enough = min(ENOUGH_MOST, max(ENOUGH, 2 * at_once)) * (1 if self._sized else UNSIZED)
        return seen is not None and seen.count >= enough

    def forget(self, beyond: int) -> None:
        """With more than so many at once it may be another one now."""
        self._seen = {at_once: seen for at_once, seen in self._seen.items() if at_once <= beyond}

"""How much a backend gets done in a second, by how many tasks it works on at once.

More at once are worth it only if all together get more done. That is not so where they share the
speed of one machine, and where they get into each other's way it is less.
"""

from __future__ import annotations

from dataclasses import dataclass

GAIN = 0.05
"""So much more throughput makes more tasks at once worth it, or a quarter of what it would be if
none slowed another."""
GAIN_BEYOND = 0.03
"""The same where fewer than these are known not to be worth it: this number stands out."""
LEAST_GAIN = 0.02
LEAST_KEPT = 0.97
"""So many times as much throughput is enough for more at once where those are preferred."""
CLOSE = 0.9
"""From this share of the other one's throughput on, chance may decide."""
LARGE_KEPT = 1.1
"""So many times as much is a large gain there."""
CLEAR_GAIN = 1.15
"""A gain that is believed after one task. A lesser one may be chance."""
LARGE_GAIN = 1.2
"""Of a number of which enough is known: believed after two tasks of the other."""
ENOUGH = 8
"""Tasks from which a throughput is believed; for a large number at once, more: a generation."""
ENOUGH_MOST = 32
FEW = 4
"""Tasks from which it is believed that there is no gain at all, or, if none ran alone, that one is
clear."""
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

    __slots__ = ("_at", "_seen", "_task_seconds", "_tokens", "prefers_more", "sized", "tells_waits")

    def __init__(self) -> None:
        self._seen: dict[int, _Seen] = {}
        self._task_seconds = 0.0  # of all tasks together
        self._at = 0.0
        self._tokens = 1.0  # of one of which they are not known
        self.sized = True
        """Whether all tasks have said their tokens."""
        self.prefers_more = False
        """Whether of two numbers that get about as much done the higher one is used."""
        self.tells_waits = False
        """Whether the backend says how long tasks waited inside: then nobody waits there while a
        number is compared."""

    def task_seconds(self, running: int, now: float) -> float:
        """Seconds of all tasks so far; `running` have run since it was asked last."""
        self._task_seconds += running * (now - self._at)
        self._at = now
        return self._task_seconds

    def note(self, at_once: int, mean: float, tokens: int | None, seconds: float) -> None:
        """A task that was sent as one of `at_once` was worked on for so long, while `mean` ran on
        average. Those that had been sent before others came may have been served before them.
        """
        self.sized = self.sized and bool(tokens)
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

    def gains(
        self, many: int, few: int, *, sure: bool = False, beyond: bool = False
    ) -> bool | None:
        """Whether `many` at once get more done than `few`; None if that is not known yet. If it has
        to be `sure`, and tasks do not say their tokens, a gain that seems clear will not do.
        `beyond`: a number between them is known to be not worth it.
        """
        more, less = self._seen.get(many), self._seen.get(few)
        if more is None:
            return None
        one = self._seen.get(1)
        gain, clear = (GAIN, CLEAR_GAIN) if self.sized else (UNSIZED_GAIN, CLEAR_UNSIZED_GAIN)
        gain = GAIN_BEYOND if beyond and self.sized else gain
        clear = max(clear, 1.0 + (many / few - 1.0) / 2)
        worth = 1.0 + max(LEAST_GAIN, min(gain, (many / few - 1.0) / 4))
        worth = LEAST_KEPT if self.prefers_more else worth
        if less is None and one is not None and self.known(many):
            # Two cannot get more done than twice what one does.
            return more.pace * one.seconds >= worth * few * one.work or None
        if less is None:
            return None
        quick = self.sized if sure else one is not None or more.count >= FEW
        if quick and more.pace >= clear * less.pace:
            return True
        if not self.will_do(many):
            return None
        large = LARGE_KEPT if self.prefers_more else LARGE_GAIN
        sooner = worth + GAIN if less.count >= FEW else large
        if self.sized and less.count > 1 and more.pace >= sooner * less.pace:
            return True
        if self.prefers_more and less.count > 1 and less.pace >= LARGE_GAIN * more.pace:
            return False
        if self.known(few):
            return more.pace >= worth * less.pace
        return None

    def is_close(self, many: int, few: int) -> bool:
        """Whether `many` at once get nearly as much done as `few`, or more, and there is time to
        see more of them. One alone is looked at soon in any case.
        """
        more, less = self._seen.get(many), self._seen.get(few)
        if few == 1 or more is None or less is None:
            return False
        if self.prefers_more or not (self.sized and self.tells_waits):
            return False
        return more.pace >= CLOSE * less.pace

    def seems_slow(self, many: int, few: int) -> bool:
        """Whether `many` at once seem to get no more done than `few`, by the first few tasks."""
        more, less = self._seen.get(many), self._seen.get(few)
        if more is None or less is None or more.count < FEW or not self.sized:
            return False
        if self.prefers_more:
            return more.pace <= LEAST_KEPT * less.pace
        return more.pace <= less.pace and not self.is_close(many, few)

    def may_gain(self, many: int, few: int, slow: int, *, again: bool) -> bool:
        """Whether `many` at once may get more done than `few`, though `slow`, which is between
        them, are known not to: no task is faster with more beside it. `again`: that they got
        nearly as much done was a while ago, and may have been chance.
        """
        more, between, less = self._seen.get(many), self._seen[slow], self._seen[few]
        if more is not None and more.count >= FEW:
            return more.pace * (CLEAR_GAIN if again else 1.0) > less.pace
        return between.pace * many / slow >= less.pace * (1 + GAIN)

    def slowed(self, at_once: int) -> float:
        """How many times as long as one alone each of so many takes; 1 if that is not known."""
        one, seen = self._seen.get(1), self._seen.get(at_once)
        if one is None or seen is None:
            return 1.0
        return max(1.0, at_once * one.pace / seen.pace)

    def known(self, at_once: int, *, well: bool = False) -> bool:
        """Whether enough tasks have been seen while so many ran."""
        seen = self._seen.get(at_once)
        enough = ENOUGH_MOST if well else min(ENOUGH_MOST, max(ENOUGH, 2 * at_once))
        enough = enough if self.sized else min(KEPT, enough * UNSIZED)
        return seen is not None and seen.count >= enough

    def will_do(self, many: int) -> bool:
        """Whether enough is known of so many to compare fewer with them. Where more are preferred,
        it is enough that each of so many was seen once: chance hardly decides for fewer.
        """
        seen = self._seen.get(many)
        once = self.prefers_more and seen is not None and seen.count >= max(FEW, many)
        return once or self.known(many)

    def alike(self, number: int, other: int) -> bool:
        """Whether so many at once, and so many, are known to get about as much done."""
        seen, beside = self._seen.get(number), self._seen.get(other)
        if seen is None or beside is None or not self.sized:
            return False
        return seen.pace < CLEAR_UNSIZED_GAIN * beside.pace

    def better(self, number: int, most: int) -> int | None:
        """The number, of those up to `most`, that got the most done, if that is clearly more than
        `number` at once get done, and if enough is known of those; None otherwise.
        """
        seen = self._seen.get(number)
        if seen is None or not self.sized or not self.known(number):
            return None
        known = [key for key, one in self._seen.items() if key <= most and one.count > 1]
        best = max(known, key=lambda key: self._seen[key].pace)
        return best if self._seen[best].pace >= (1 + GAIN) * seen.pace else None

    def forget_one(self, at_once: int) -> None:
        """What was seen of so many was a while ago."""
        self._seen.pop(at_once, None)

    def forget(self, beyond: int) -> None:
        """With more than so many at once it may be another one now."""
        self._seen = {at_once: seen for at_once, seen in self._seen.items() if at_once <= beyond}

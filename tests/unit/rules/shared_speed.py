"""A backend in virtual time whose speed depends on how many tasks it works on at once."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from oq.rules.alone import WAITED
from oq.rules.concurrency import Concurrency
from oq.words.sample import Sample

How = Literal["measured", "measured whole", "first byte", "whole", "silent"]
"""What is known of a task: what Ollama's last line says, of a stream or of a whole answer; when its
first byte came; only when it ended, and its tokens; or only when it ended."""
PACE = 50.0
"""Tokens a second of one that runs alone."""
PROMPT = 0.1
"""Seconds from the hand-over to the first byte, alone."""


def scales_to(most: int, at_once: int) -> float:
    """So many run as fast as one alone; more of them share that."""
    return float(min(at_once, most))


def thrashes_beyond(most: int, at_once: int) -> float:
    """The same, but with more of them all together get less done."""
    return min(at_once, most) * 0.8 ** max(0, at_once - most)


def bends_at(most: int, at_once: int) -> float:
    """Each of so many adds less than the one before, and more of them add nothing."""
    return sum(0.8**number for number in range(min(at_once, most)))


def speeds_of(speeds: Sequence[float], at_once: int) -> float:
    """`speeds` says how fast 1, 2, 3 and so on are together; more share the last of these."""
    return speeds[min(at_once, len(speeds)) - 1] / speeds[0]


@dataclass
class _Call:
    key: str
    sent: float
    tokens: int
    generates: float
    """Seconds of work, alone, from its first byte to its end."""
    left: float
    """The same of all that is left."""
    began: float | None = None
    first: float | None = None
    """Seconds from the hand-over to the first byte."""


class SharedSpeed:
    """It works on all that is sent, or on `slots` of them, and the others wait inside. `speed` says
    how many times as fast as one alone so many are together. There is always more to send; `seed`
    draws their tokens, and by which share of it the time of each differs, up to `noise`.
    """

    def __init__(
        self,
        speed: Callable[[int], float],
        known: Concurrency,
        how: How,
        seed: int = 1,
        slots: int | None = None,
        noise: float = 0.0,
    ) -> None:
        self.speed, self.known, self.how, self.slots = speed, known, how, slots
        self.noise = noise
        self.cold = 0.0
        """Seconds more, alone, that each of the first calls needs, one for each slot."""
        self.now = 0.0
        self.tokens = 0
        self.served: list[int] = []
        """The number that is known, after each task."""
        self.most_at_once = 0
        self.waited_inside = 0
        self.calls: list[_Call] = []
        self._count = 0
        self._random = random.Random(seed)

    def run(self, tasks: int) -> float:
        """Until so many have ended. The tokens of all of them for each second."""
        began, tokens, ended = self.now, self.tokens, 0
        while ended < tasks:
            ended += self.step()
        return (self.tokens - tokens) / (self.now - began)

    def step(self) -> bool:
        """Send what may be sent, and go on until the next thing happens; whether that is the end of
        a task.
        """
        self._send()
        return self._go_on()

    def call_back(self, key: str) -> None:
        """This task is broken off."""
        self.calls = [call for call in self.calls if call.key != key]
        self.known.end(key, self.now, None)

    def _send(self) -> None:
        while self.known.allows(self.now):
            self._count += 1
            tokens = self._random.randint(40, 160)
            differs = self._random.uniform(1 - self.noise, 1 + self.noise)
            generates = differs * tokens / PACE
            first = self._count <= (self.slots or 0)
            left = differs * PROMPT + generates + (self.cold if first else 0.0)
            call = _Call(f"t{self._count}", self.now, tokens, generates, left)
            self.known.start(call.key, self.now)
            self.calls.append(call)
        self.most_at_once = max(self.most_at_once, len(self.calls))

    def _go_on(self) -> bool:
        calls = self.calls[: self.slots]
        for call in calls:
            call.began = self.now if call.began is None else call.began
        share = self.speed(len(calls)) / len(calls)
        nearest = min(calls, key=self._work)
        due = self.now + self._work(nearest) / share
        another = self.known.allowed_at()
        until = another if self.now < another < due else due
        for call in calls:
            call.left -= (until - self.now) * share
        self.now = until
        if until < due:
            return False
        if nearest.first is None:
            nearest.first = until - nearest.sent
            self.known.answered(nearest.key)
            if self._streams:
                return False
        self.calls.remove(nearest)
        self.tokens += nearest.tokens
        self.waited_inside += (nearest.began or 0.0) - nearest.sent > WAITED
        self.known.end(nearest.key, until, self._sample(nearest))
        self.served.append(self.known.served)
        return True

    @property
    def _streams(self) -> bool:
        return self.how in ("measured", "first byte")

    def _work(self, call: _Call) -> float:
        """Seconds of work, alone, until something happens to it."""
        return call.left - (call.generates if self._streams and call.first is None else 0.0)

    def _sample(self, call: _Call) -> Sample:
        took = self.now - call.sent
        if self.how in ("measured", "measured whole"):
            waited = 0.01 + (call.began or call.sent) - call.sent
            return Sample(took, call.first, waited=waited, load=0.0, tokens=call.tokens)
        return Sample(took, call.first, tokens=None if self.how == "silent" else call.tokens)


def best_fixed(speed: Callable[[int], float], most: int) -> tuple[int, float]:
    """The number that gets the most done, if it is set, and its tokens a second. Of several that
    are alike, the smallest: each task ends sooner.
    """
    tokens = {
        number: SharedSpeed(speed, Concurrency(number, learns=False), "measured").run(400)
        for number in range(1, most + 1)
    }
    most_tokens = max(tokens.values())
    best = min(number for number, each in tokens.items() if each >= 0.99 * most_tokens)
    return best, tokens[best]

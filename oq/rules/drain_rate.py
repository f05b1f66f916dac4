"""How fast the queue drains, and so when it is worth asking again."""

from __future__ import annotations

import math

HALF_LIFE = 30.0
"""Seconds after which an observation counts half."""

SOONEST, LATEST = 1.0, 60.0
"""Seconds: the bounds of what is asked of a client."""


class DrainRate:
    """Tasks that end per second, as an exponentially decaying mean. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._weight = 0.0
        self._at = -math.inf

    def observe(self, ended: int, now: float) -> None:
        self._weight = self._decayed(now) + ended
        self._at = now

    def per_second(self, now: float) -> float:
        return self._decayed(now) * math.log(2) / HALF_LIFE

    def retry_after(self, excess: int, now: float) -> float:
        """Seconds until so many tasks will have ended, within bounds."""
        rate = self.per_second(now)
        return min(LATEST, max(SOONEST, excess / rate)) if rate > 0 else LATEST

    def _decayed(self, now: float) -> float:
        if self._weight == 0.0:
            return 0.0
        return float(self._weight * 2.0 ** (-(now - self._at) / HALF_LIFE))

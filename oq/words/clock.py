"""Where the time comes from: stored times are the wall clock's, waiting uses the monotonic one.

Everything that needs the time is handed a `Clock`; tests hand one that goes with trio's MockClock.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

WallClock = Callable[[], float]


class Clock:
    """The wall clock. `wall` gives seconds since the epoch."""

    def __init__(self, wall: WallClock = time.time) -> None:
        self._wall = wall

    def now(self) -> datetime:
        """The wall clock's time, in UTC."""
        return datetime.fromtimestamp(self._wall(), UTC)

"""Virtual time: what happens next."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush


class Agenda:
    """What will happen, by time in seconds. Of two things at one time the first noted is first."""

    def __init__(self) -> None:
        self.now = 0.0
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._noted = 0

    def add(self, time: float, do: Callable[[], None]) -> None:
        """Do this then. AssertionError if that time is over."""
        assert time >= self.now, f"{time} is over: it is {self.now}"
        self._noted += 1
        heappush(self._heap, (time, self._noted, do))

    def run(self) -> None:
        """Go on until nothing is left to happen."""
        while self._heap:
            self.now, _, do = heappop(self._heap)
            do()

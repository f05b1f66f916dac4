"""Whether the oldest task was passed over for longer than its policy promises."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from math import inf

from oq.plan.machine import Call

CLOSE = 1e-6
"""Seconds that are none: times are sums of fractions."""


@dataclass(slots=True)
class _Band:
    waiting: deque[Call] = field(default_factory=deque)  # also some that started already
    since: float = inf  # when another one passed its first one for the first time
    due: float = inf  # when that has to start at the latest


class PassedOver:
    """It counts the tasks that started too late. Others may pass the oldest task of a priority for
    `most` seconds. Then it may wait for the calls that run at that time, and for those of a higher
    priority that come before it.
    """

    def __init__(self, most: float) -> None:
        self.late = 0
        self._most = most
        self._bands: dict[int, _Band] = {}
        self._latest = 0.0  # when all that has started will have ended

    def came(self, call: Call, priority: int) -> None:
        """A task waits from now on."""
        self._bands.setdefault(priority, _Band()).waiting.append(call)

    def started(self, call: Call, priority: int, now: float) -> None:
        """It has been handed over."""
        self._latest = max(self._latest, call.ended)
        mine = self._bands[priority]
        if mine.waiting[0] is call:
            self.late += now > mine.due + CLOSE
            mine.since = mine.due = inf
            while mine.waiting and mine.waiting[0].sent < inf:
                mine.waiting.popleft()
        else:
            self._note_pass(mine, now)
        for level, band in self._bands.items():
            if level > priority and band.waiting:
                self._note_pass(band, now)
            if level < priority or now <= band.since + self._most + CLOSE:
                band.due = max(band.due, call.ended)

    def _note_pass(self, band: _Band, now: float) -> None:
        if band.since == inf:
            band.since = now
            band.due = max(now + self._most, self._latest)

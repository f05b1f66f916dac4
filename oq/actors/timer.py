"""The retry timer: it wakes delayed tasks and waiting retries when their time has come."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import trio

from oq.words.clock import Clock
from oq.words.messages import Delay, Due, take

LONGEST_SLEEP = 30.0
"""Seconds after which the wall clock is looked at again: it may have been set, or the machine may
have slept, which the monotonic clock does not count."""


class Timer:
    """Holds one entry for each delay that it was told of. It does not hear of cancellations: the
    scheduler passes over what no longer waits.
    """

    def __init__(
        self,
        clock: Clock,
        inbox: trio.MemoryReceiveChannel[Delay],
        to_scheduler: trio.MemorySendChannel[Due],
        delays: Iterable[Delay] = (),
    ) -> None:
        self._clock = clock
        self._inbox = inbox
        self._to_scheduler = to_scheduler
        self._heap = [(delay.run_at, delay.task_id) for delay in delays]
        heapq.heapify(self._heap)
        self._offset = datetime.min.replace(tzinfo=UTC)

    async def run(self) -> None:
        """Wake tasks until the scheduler closes the mailbox."""
        with self._to_scheduler:
            while True:
                due = self._take_due()
                if due:
                    await self._to_scheduler.send(Due(due))
                delays: list[Delay] | None = None
                with trio.move_on_after(self._pause()):
                    delays = await take(self._inbox)
                    if not delays:
                        return
                for delay in delays or ():
                    heapq.heappush(self._heap, (delay.run_at, delay.task_id))

    def _take_due(self) -> list[Delay]:
        now = self._now()
        due = []
        while self._heap and self._heap[0][0] <= now:
            run_at, task_id = heapq.heappop(self._heap)
            due.append(Delay(task_id, run_at))
        return due

    def _pause(self) -> float:
        if not self._heap:
            return float("inf")
        left = (self._heap[0][0] - self._now()).total_seconds()
        return min(max(left, 0.0), LONGEST_SLEEP)

    def _now(self) -> datetime:
        """The wall clock's time, or later: it goes on when that one is set back, so that no retry
        waits an hour too long, and follows it when it is set forward.
        """
        elapsed = timedelta(seconds=trio.current_time())
        self._offset = max(self._offset, self._clock.now() - elapsed)
        return self._offset + elapsed

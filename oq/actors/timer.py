"""The retry timer: it wakes delayed tasks and waiting retries when their time has come."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from itertools import count

import trio

from oq.words.channels import take
from oq.words.clock import Clock
from oq.words.messages import Delay, Due

LONGEST_SLEEP = 30.0
"""Seconds after which the wall clock is looked at again: it may have been set, or the machine may
have slept, which the monotonic clock does not count."""


PRUNE_FROM = 1024
"""Entries below which none is looked at again before its time."""

MICROSECOND = 1e-6
"""Stored times are no finer, and sums of floats differ by less: what is due within it is due."""

Entry = tuple[float, int, Delay]
"""When, by the heap's clock; which of several for the same time came first; whose it is."""


class Timer:
    """Delays that users set follow the wall clock, wherever it is set to; those of retries follow
    the monotonic one, so that no retry waits an hour too long, or not at all. Those of a retry from
    before the start have nothing but the wall clock's time: they end when that has come, by a clock
    that may be set right meanwhile, and at the latest when their whole delay has passed once more.

    It does not hear of cancellations, and hears again of a task that takes another place in line.
    The scheduler passes over what no longer `waits`. Here such entries, and all of a task but the
    first, are dropped when they may have become more than the others.
    """

    def __init__(
        self,
        clock: Clock,
        inbox: trio.MemoryReceiveChannel[list[Delay]],
        to_scheduler: trio.MemorySendChannel[Due],
        waits: Callable[[Delay], bool],
        delays: Iterable[Delay] = (),
    ) -> None:
        self._clock = clock
        self._inbox = inbox
        self._to_scheduler = to_scheduler
        self._waits = waits
        self._by_wall: list[Entry] = []
        self._by_steady: list[Entry] = []
        self._order = count()
        self._loaded = list(delays)  # until `run`: before, there is no monotonic clock
        self._prune_at = PRUNE_FROM

    async def run(self) -> None:
        """Wake tasks until the scheduler closes the mailbox."""
        with self._to_scheduler:
            self._add(self._loaded)
            self._loaded.clear()
            while True:
                due = self._take_due()
                if due:
                    await self._to_scheduler.send(Due(due))
                batches: list[list[Delay]] | None = None
                with trio.move_on_after(self._pause()):
                    batches = await take(self._inbox)
                    if not batches:
                        return
                for batch in batches or ():
                    self._add(batch)

    def _add(self, delays: list[Delay]) -> None:
        now, steady = self._clock.now(), trio.current_time()
        for delay in delays:
            if delay.retrying:
                left = (delay.run_at - now).total_seconds()
                left = left if delay.at_most is None else min(left, delay.at_most)
                heapq.heappush(self._by_steady, (steady + left, next(self._order), delay))
            if not delay.retrying or delay.at_most is not None:
                at = delay.run_at.timestamp()
                heapq.heappush(self._by_wall, (at, next(self._order), delay))
        if len(self._by_wall) + len(self._by_steady) > self._prune_at:
            self._prune()

    def _prune(self) -> None:
        for heap in (self._by_wall, self._by_steady):
            heap.sort()  # it stays a heap
            once: set[str] = set()  # a task waits for one time only
            kept: list[Entry] = []
            for entry in heap:
                delay = entry[2]
                if delay.task_id not in once and self._waits(delay):
                    once.add(delay.task_id)
                    kept.append(entry)
            heap[:] = kept
        self._prune_at = max(PRUNE_FROM, 2 * (len(self._by_wall) + len(self._by_steady)))

    def _take_due(self) -> list[Delay]:
        due = []
        for heap, now in self._heaps():
            while heap and heap[0][0] <= now + MICROSECOND:
                due.append(heapq.heappop(heap)[2])
        return due

    def _pause(self) -> float:
        left = [heap[0][0] - now for heap, now in self._heaps() if heap]
        return min(max(min(left) - MICROSECOND / 2, 0.0), LONGEST_SLEEP) if left else float("inf")

    def _heaps(self) -> tuple[tuple[list[Entry], float], ...]:
        """Each heap with the time by which its entries are due."""
        return (
            (self._by_wall, self._clock.now().timestamp()),
            (self._by_steady, trio.current_time()),
        )

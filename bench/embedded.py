"""The embedded queue over RocksDB with a backend that does nothing: the queue's own cost.

Every acknowledgement and every completion is behind an fsync, as in use.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import trio

from bench.figures import percentile
from bench.payload import submission
from bench.scenario import Setting, Side
from oq.backends.base import Backend, Emit, Request
from oq.backends.simulated import NoopBackend
from oq.queue import Queue, open_queue
from oq.words.config import to_config
from oq.words.messages import Change, Committed
from oq.words.outcome import Completed

WORKERS = 64
BULK = 1000
"""Tasks in one submit_many."""


class Ends:
    """Counts the tasks that are completed on disk."""

    def __init__(self, queue: Queue) -> None:
        self._count = 0
        self._target = 0
        self._reached = trio.Event()
        queue.observe(self._observe)

    async def wait(self, count: int) -> None:
        """Return when `count` tasks have ended since the queue was opened."""
        self._target, self._reached = count, trio.Event()
        if self._count < count:
            await self._reached.wait()

    def _observe(self, committed: Committed) -> None:
        self._count += sum(
            1 for step in committed.steps if isinstance(step, Change) and step.state.status.ended
        )
        if self._count >= self._target:
            self._reached.set()


class TimedBackend(NoopBackend):
    """Notes when it is called and when it answers."""

    def __init__(self) -> None:
        super().__init__()
        self.called: list[float] = []
        self.answered: list[float] = []

    async def run(self, request: Request, emit: Emit) -> Completed:
        self.called.append(time.perf_counter())
        await trio.lowlevel.checkpoint()
        self.answered.append(time.perf_counter())
        return self._completed


@asynccontextmanager
async def queue(backend: Backend, workers: int = WORKERS) -> AsyncIterator[tuple[Queue, Ends]]:
    with tempfile.TemporaryDirectory(prefix="oq-bench-") as directory:
        config = to_config(
            {"queue": {"storage_path": directory, "max_workers": workers, "max_completed_tasks": 0}}
        )
        async with open_queue(config, backends=[backend]) as opened:
            yield opened, Ends(opened)


async def bulk(count: int) -> dict[str, float]:
    """Tasks a second when they are submitted a thousand at a time."""
    tasks = [submission()] * BULK
    async with queue(NoopBackend()) as (opened, ends):
        begun = time.perf_counter()
        for _ in range(count // BULK):
            await opened.accept_many(tasks)
        await ends.wait(count)
        return {"bulk": count / (time.perf_counter() - begun)}


async def producers(count: int, parties: int = 64) -> dict[str, float]:
    """Tasks a second when each of `parties` producers submits one at a time."""
    async with queue(NoopBackend()) as (opened, ends):

        async def produce() -> None:
            for _ in range(count // parties):
                await opened.accept(submission())

        begun = time.perf_counter()
        async with trio.open_nursery() as nursery:
            for _ in range(parties):
                nursery.start_soon(produce)
        await ends.wait(count // parties * parties)
        return {"producers": count // parties * parties / (time.perf_counter() - begun)}


async def sequential(count: int) -> dict[str, float]:
    """Tasks a second when one producer waits for each acknowledgement."""
    async with queue(NoopBackend()) as (opened, ends):
        begun = time.perf_counter()
        for _ in range(count):
            await opened.accept(submission())
        await ends.wait(count)
        return {"sequential": count / (time.perf_counter() - begun)}


async def idle_start(count: int) -> dict[str, float]:
    """Milliseconds from the call of submit to the call of the backend, in an idle queue."""
    backend = TimedBackend()
    delays = []
    async with queue(backend) as (opened, ends):
        for number in range(1, count + 1):
            begun = time.perf_counter()
            await opened.accept(submission())
            await ends.wait(number)
            delays.append((backend.called[-1] - begun) * 1e3)
    return {"start_p50": percentile(delays, 0.5), "start_p99": percentile(delays, 0.99)}


async def slot_freed(count: int) -> dict[str, float]:
    """Milliseconds from a backend's answer to its next call, with one slot and work waiting."""
    backend = TimedBackend()
    async with queue(backend, workers=1) as (opened, ends):
        await opened.pause()
        await opened.accept_many([submission()] * count)
        await opened.resume()
        await ends.wait(count)
    gaps = [
        (called - answered) * 1e3
        for called, answered in zip(backend.called[1:], backend.answered, strict=False)
    ]
    return {"next_p50": percentile(gaps, 0.5), "next_p99": percentile(gaps, 0.99)}


def alone(
    measure: Callable[[int], Awaitable[dict[str, float]]], full: int
) -> Callable[[Setting], AbstractAsyncContextManager[list[Side]]]:
    """One of these as a scenario, of `full` tasks."""

    @asynccontextmanager
    async def scenario(setting: Setting) -> AsyncIterator[list[Side]]:
        yield [lambda: measure(setting.sized(full, least=BULK))]

    return scenario

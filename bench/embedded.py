"""The embedded queue over RocksDB with a backend that does nothing: the queue's own cost.

Every acknowledgement and every completion is behind an fsync, as in use.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import trio

from bench.disk import Disk
from bench.figures import percentile
from bench.payload import submission
from bench.scenario import Setting, Side
from oq.backends.base import Backend, Request
from oq.backends.simulated import NoopBackend
from oq.dialects.base import Emit
from oq.queue import Queue, open_queue
from oq.words.config import to_config
from oq.words.messages import Committed
from oq.words.outcome import Completed
from oq.words.steps import Change

Sections = Mapping[str, Any]
"""Sections of the settings, beside that of the queue."""
NONE: Sections = {}
WORKERS = 64
BULK = 1000
"""Tasks in one submit_many."""
PRODUCERS = 64
REST = 0.05
"""Seconds without work after which a queue is idle, and the machine's processors sleep."""


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
async def queue(
    backend: Backend, workers: int = WORKERS, settings: Sections = NONE
) -> AsyncIterator[tuple[Queue, Ends]]:
    with tempfile.TemporaryDirectory(prefix="oq-bench-") as directory:
        config = to_config(
            {
                "queue": {
                    "storage_path": directory,
                    "max_workers": workers,
                    "max_completed_tasks": 0,
                },
                **settings,
            }
        )
        async with open_queue(config, backends=[backend]) as opened:
            yield opened, Ends(opened)


async def bulk(count: int, settings: Sections = NONE) -> dict[str, float]:
    """Tasks a second when they are submitted a thousand at a time."""
    tasks = [submission()] * BULK
    async with queue(NoopBackend(), settings=settings) as (opened, ends):
        begun = time.perf_counter()
        for _ in range(count // BULK):
            await opened.raw.submit_many(tasks)
        await ends.wait(count)
        return {"bulk": count / (time.perf_counter() - begun)}


async def producers(count: int, parties: int = PRODUCERS) -> dict[str, float]:
    """Tasks a second when each of `parties` producers submits one at a time."""
    async with queue(NoopBackend()) as (opened, ends):

        async def produce() -> None:
            for _ in range(count // parties):
                await opened.raw.submit(submission())

        begun = time.perf_counter()
        async with trio.open_nursery() as nursery:
            for _ in range(parties):
                nursery.start_soon(produce)
        await ends.wait(count // parties * parties)
        return {"producers": count // parties * parties / (time.perf_counter() - begun)}


async def sequential(count: int, settings: Sections = NONE) -> dict[str, float]:
    """Tasks a second when one producer waits for each acknowledgement."""
    async with queue(NoopBackend(), settings=settings) as (opened, ends):
        begun = time.perf_counter()
        for _ in range(count):
            await opened.raw.submit(submission())
        await ends.wait(count)
        return {"sequential": count / (time.perf_counter() - begun)}


@asynccontextmanager
async def idle(setting: Setting) -> AsyncIterator[list[Side]]:
    """Submit to the backend's call: one task right after the other, and each after a rest."""
    yield [
        lambda: one_after_the_other(setting.sized(2_000, least=20)),
        lambda: rested(setting.sized(200)),
    ]


async def one_after_the_other(count: int) -> dict[str, float]:
    """Milliseconds from the call of submit to the call of the backend, in a queue that is empty,
    but whose last task has only just ended.
    """
    backend = TimedBackend()
    async with queue(backend) as (opened, ends):
        delays = [await _start(opened, ends, backend, number) for number in range(count)]
    return _p50_p99("soon", delays)


async def rested(count: int, rest: float = REST) -> dict[str, float]:
    """The same in a queue that has had nothing to do for `rest` seconds; and what the disk's own
    write and fdatasync take after such a rest, which the machine's part in it begins with.
    """
    backend = TimedBackend()
    delays, syncs = [], []
    async with queue(backend) as (opened, ends):
        with Disk() as disk:
            for number in range(count):
                await trio.sleep(rest)
                delays.append(await _start(opened, ends, backend, number))
                await trio.sleep(rest)
                syncs.append(disk.sync())
    return _p50_p99("start", delays) | _p50_p99("disk", syncs)


async def _start(opened: Queue, ends: Ends, backend: TimedBackend, earlier: int) -> float:
    """One task, after so many; return when it has ended."""
    begun = time.perf_counter()
    await opened.raw.submit(submission())
    await ends.wait(earlier + 1)
    return (backend.called[-1] - begun) * 1e3


def _p50_p99(name: str, values: list[float]) -> dict[str, float]:
    return {f"{name}_p50": percentile(values, 0.5), f"{name}_p99": percentile(values, 0.99)}


async def slot_freed(count: int) -> dict[str, float]:
    """Milliseconds from a backend's answer to its next call, with one slot and work waiting."""
    backend = TimedBackend()
    async with queue(backend, workers=1) as (opened, ends):
        await opened.pause()
        await opened.raw.submit_many([submission()] * count)
        await opened.resume()
        await ends.wait(count)
    gaps = [
        (called - answered) * 1e3
        for called, answered in zip(backend.called[1:], backend.answered, strict=False)
    ]
    return _p50_p99("next", gaps)


def alone(
    measure: Callable[[int], Awaitable[dict[str, float]]], full: int
) -> Callable[[Setting], AbstractAsyncContextManager[list[Side]]]:
    """One of these as a scenario, of `full` tasks."""

    @asynccontextmanager
    async def scenario(setting: Setting) -> AsyncIterator[list[Side]]:
        yield [lambda: measure(setting.sized(full, least=BULK))]

    return scenario

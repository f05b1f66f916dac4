"""An embedded queue with so many pending tasks, in a process of its own, that measures when told.

`python -m bench.pending DIRECTORY COUNT` fills the data directory up to COUNT pending tasks, says
how that went, then takes one order a line (`submit 100`, `pop 100`, `list 5`, `status 50`) and
answers each with one line of JSON, until its standard input ends. Nothing runs but in a `pop`: the
backend holds its one task until it is told how many to let through.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import trio

from bench.embedded import TimedBackend
from bench.figures import percentile
from bench.payload import submission
from oq.backends.base import Request
from oq.dialects.base import Emit
from oq.queue import Queue, open_queue
from oq.rules.filters import TaskFilter
from oq.words.config import to_config
from oq.words.outcome import Completed
from oq.words.task import Status

BATCH = 5_000
"""Tasks in one submit_many while the queue is filled."""
MORE = 2
"""So many times COUNT may be pending: what is submitted on top must find room."""
PAGE = 100


class GatedBackend(TimedBackend):
    """Answers as many tasks as it is told to, and holds the next one."""

    def __init__(self) -> None:
        super().__init__()
        self._permits = trio.Semaphore(0)
        self._left = 0
        self._passed = trio.Event()
        self._holds = trio.Event()

    async def wait_held(self) -> None:
        """Return when the first task is held."""
        await self._holds.wait()

    async def let_through(self, count: int) -> None:
        """Return when so many more have been answered, and one more is held."""
        self._left, self._passed = count, trio.Event()
        for _ in range(count):
            self._permits.release()
        await self._passed.wait()

    async def run(self, request: Request, emit: Emit) -> Completed:
        self.called.append(time.perf_counter())
        self._holds.set()
        if not self._left:
            self._passed.set()
        await self._permits.acquire()
        self._left -= 1
        self.answered.append(time.perf_counter())
        return self._completed


class Session:
    """What may be measured of an open queue. All times are in milliseconds."""

    def __init__(self, queue: Queue, backend: GatedBackend) -> None:
        self._queue = queue
        self._backend = backend

    async def fill(self, target: int) -> dict[str, float]:
        """Submit until so many are pending."""
        begun, count = time.perf_counter(), 0
        while (missing := target - self._queue.status().pending_tasks) > 0:
            count += min(missing, BATCH)
            await self._queue.raw.submit_many([submission()] * min(missing, BATCH))
        seconds = time.perf_counter() - begun
        await self._backend.wait_held()
        return {"filled": count, "fill_seconds": seconds}

    async def submit(self, times: int) -> dict[str, float]:
        """One after the other, each until it is on disk."""
        return await _timed("submit", times, lambda: self._queue.raw.submit(submission()))

    async def pop(self, times: int) -> dict[str, float]:
        """From a slot that is freed to the next call of the backend, with one slot."""
        called, answered = len(self._backend.called), len(self._backend.answered)
        await self._backend.let_through(times)
        nexts, befores = self._backend.called[called:], self._backend.answered[answered:]
        gaps = [(after - before) * 1e3 for after, before in zip(nexts, befores, strict=True)]
        return {"pop": percentile(gaps, 0.5)}

    async def list(self, times: int) -> dict[str, float]:
        """A page of the newest pending tasks."""
        wanted = TaskFilter(status=frozenset([Status.PENDING]), limit=PAGE)
        return await _timed("list", times, lambda: self._queue.raw.list(wanted))

    async def status(self, times: int) -> dict[str, float]:
        """The queue at a glance."""

        async def look() -> None:
            self._queue.status()
            await trio.lowlevel.checkpoint()

        return await _timed("status", times, look)


async def _timed(name: str, times: int, call: Callable[[], Awaitable[object]]) -> dict[str, float]:
    taken = []
    for _ in range(times):
        begun = time.perf_counter()
        await call()
        taken.append((time.perf_counter() - begun) * 1e3)
    return {name: percentile(taken, 0.5)}


async def serve(directory: str, count: int) -> None:
    """Open the queue, fill it, and take orders."""
    config = to_config(
        {
            "queue": {
                "storage_path": directory,
                "max_workers": 1,
                "max_completed_tasks": 0,
                "max_pending": MORE * count + BATCH,
                "drain_timeout": "0s",  # the task that is held goes back in line
            }
        }
    )
    backend = GatedBackend()
    begun = time.perf_counter()
    async with open_queue(config, backends=[backend]) as queue:
        opened = time.perf_counter() - begun
        session = Session(queue, backend)
        _tell({"recovery": opened, "rss": resident()} | await session.fill(count))
        orders = {
            "submit": session.submit,
            "pop": session.pop,
            "list": session.list,
            "status": session.status,
        }
        async for line in trio.lowlevel.FdStream(sys.stdin.fileno()):
            for order in line.decode().splitlines():
                name, times = order.split()
                _tell(await orders[name](int(times)))


def resident() -> float:
    """Megabytes of memory that this process has in use, as the kernel counts them."""
    gc.collect()
    return resident_of("self")


def resident_of(pid: int | str, field: str = "VmRSS") -> float:
    """Megabytes of memory that a process has in use; with VmHWM, that it ever had (proc(5))."""
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith(f"{field}:"))
    return int(line.split()[1]) / 1024


def _tell(figures: dict[str, float]) -> None:
    print(msgspec.json.encode(figures).decode(), flush=True)


def main(program: str, serve: Callable[[str, int], Awaitable[None]]) -> int:
    """A program that opens a directory with so many tasks."""
    parser = argparse.ArgumentParser(prog=f"python -m {program}")
    parser.add_argument("directory")
    parser.add_argument("count", type=int)
    options = parser.parse_args()
    trio.run(serve, options.directory, options.count)
    return 0


if __name__ == "__main__":
    sys.exit(main("bench.pending", serve))

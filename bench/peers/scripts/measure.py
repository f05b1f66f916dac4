"""Measure one peer: `python -m bench.peers.scripts.measure NAME SECONDS PROBES` prints JSON.

The module `peer_NAME` has

    VERSION, WORKERS                the library's version; its workers, in words
    workers()                       their command lines
    durability()                    what it reads back, where no server says it
    clear()                         forget every job
    enqueue(index)                  one job by one call
    bulk(indices)                   many by one call, where it has that
    setup(), close()                where it needs them

each of which may be async. Several calls of `enqueue` are under way at once as tasks if it is
async, else in threads. Rates are of whole jobs; the clock stops when the last job was run.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import inspect
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from bench.peers.scripts.marks import Marks
from bench.peers.scripts.sizing import CONCURRENT, THREADS, chunks, settled
from oq.cli.lifeline import with_parent

PATIENCE = 60.0
"""Seconds that a worker gets to come up, and a run of jobs to end."""
IDLE = 0.004
"""Seconds of rest before a probe, so that it meets workers that wait."""


class NotMeasured(Exception):
    """The peer does not do its jobs."""


class Measurement:
    """One peer, one round."""

    def __init__(self, peer: Any, marks: Marks, seconds: float) -> None:
        self._peer = peer
        self._marks = marks
        self._seconds = seconds
        self._next = 0
        self._workers: list[subprocess.Popen[bytes]] = []
        self._threads = ThreadPoolExecutor(THREADS)
        self.figures: dict[str, float] = {}
        self.counts: dict[str, int] = {}

    def ways(self) -> list[str]:
        return ["single", "concurrent", *(["bulk"] if hasattr(self._peer, "bulk") else [])]

    async def enqueue_only(self) -> None:
        """Jobs a second that are taken while nobody runs them."""
        for way in self.ways():
            await self._keep(f"enqueue_{way}", way, self._seconds / 2, run=False)
            await done(self._peer.clear())

    async def end_to_end(self, workers: list[subprocess.Popen[bytes]]) -> None:
        """Jobs a second from the first call to the last run, which these workers do."""
        self._workers = workers
        await self._rate("single", 1, run=True)  # until the workers are there
        for way in self.ways():
            await self._keep(f"end_to_end_{way}", way, self._seconds, run=True)

    async def latency(self, probes: int) -> None:
        """Milliseconds from the call that enqueues to the job's start, when nothing else is up."""
        delays = []
        for index in self._indices(probes):
            await asyncio.sleep(IDLE)
            begun = time.monotonic()
            await done(self._peer.enqueue(index))
            await self._ended(index, index + 1, poll=0.0002)
            delays.append((self._marks.time(index) - begun) * 1e3)
        delays.sort()
        self.figures["start_p50"] = delays[len(delays) // 2]
        self.figures["start_p99"] = delays[int(len(delays) * 0.99)]
        self.counts["start"] = probes

    async def _keep(self, name: str, way: str, seconds: float, *, run: bool) -> None:
        async def rate_of(count: int) -> float:
            return await self._rate(way, count, run=run)

        self.figures[name], self.counts[name] = await settled(rate_of, seconds)

    def _indices(self, count: int) -> range:
        start, self._next = self._next, self._next + count
        return range(start, self._next)

    async def _rate(self, way: str, count: int, *, run: bool) -> float:
        indices = self._indices(count)
        begun = time.monotonic()
        await getattr(self, f"_enqueue_{way}")(indices)
        if not run:
            return count / (time.monotonic() - begun)
        await self._ended(indices.start, indices.stop, poll=0.002)
        return count / (self._marks.last(indices.start, indices.stop) - begun)

    async def _enqueue_single(self, indices: range) -> None:
        if inspect.iscoroutinefunction(self._peer.enqueue):
            for index in indices:
                await self._peer.enqueue(index)
        else:
            for index in indices:
                self._peer.enqueue(index)

    async def _enqueue_concurrent(self, indices: range) -> None:
        left: Iterator[int] = iter(indices)

        async def produce() -> None:
            for index in left:
                await self._peer.enqueue(index)

        def produce_in_thread() -> None:
            for index in left:
                self._peer.enqueue(index)

        if inspect.iscoroutinefunction(self._peer.enqueue):
            await asyncio.gather(*(produce() for _ in range(CONCURRENT)))
        else:
            run = asyncio.get_running_loop().run_in_executor
            await asyncio.gather(*(run(self._threads, produce_in_thread) for _ in range(THREADS)))

    async def _enqueue_bulk(self, indices: range) -> None:
        for part in chunks(indices.start, indices.stop):
            await done(self._peer.bulk(part))

    async def _ended(self, start: int, end: int, *, poll: float) -> None:
        given_up = time.monotonic() + PATIENCE
        while (missing := self._marks.first_missing(start, end)) is not None:
            start = missing
            if time.monotonic() > given_up:
                raise NotMeasured(f"job {missing} has not run in {PATIENCE:g} s")
            if any(worker.poll() is not None for worker in self._workers):
                raise NotMeasured("a worker has ended; what it said is above")
            await asyncio.sleep(poll)


async def done(result: Any) -> Any:
    """The result of a function that may be async."""
    return await result if inspect.isawaitable(result) else result


@contextlib.asynccontextmanager
async def working(commands: list[list[str]]) -> AsyncIterator[list[subprocess.Popen[bytes]]]:
    """The workers run. What they print goes to the standard error: it explains a failure."""
    running = [_start(command) for command in commands]
    try:
        yield running
    finally:
        for worker in running:
            worker.terminate()
        for worker in running:
            try:
                await asyncio.to_thread(worker.wait, 5)
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()


def _start(command: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=sys.stderr, preexec_fn=with_parent()
    )


async def measure(name: str, seconds: float, probes: int) -> dict[str, Any]:
    peer = importlib.import_module(f"bench.peers.scripts.peer_{name}")
    marks = Marks(os.environ["PEER_MARKS"])
    measurement = Measurement(peer, marks, seconds)
    if hasattr(peer, "setup"):
        await done(peer.setup())
    durability = await done(peer.durability()) if hasattr(peer, "durability") else None
    await measurement.enqueue_only()
    async with working(peer.workers()) as workers:
        await measurement.end_to_end(workers)
        await measurement.latency(probes)
    if hasattr(peer, "close"):
        await done(peer.close())
    return {
        "version": peer.VERSION,
        "workers": peer.WORKERS,
        "durability": durability,
        "figures": measurement.figures,
        "counts": measurement.counts,
    }


if __name__ == "__main__":
    try:
        found = asyncio.run(measure(sys.argv[1], float(sys.argv[2]), int(sys.argv[3])))
    except NotMeasured as error:
        sys.exit(str(error))
    print(json.dumps(found))

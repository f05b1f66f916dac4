"""oq's sides: `python -m bench.peers.ours SIDE SECONDS PROBES [URL]` prints what measure.py prints.

    embedded    the queue inside the producer's process
    client      a daemon, and a producer with an `oq.AsyncClient`
    http        a daemon, or the server at URL, and connections that POST a task each

The clock stops when all tasks are completed on disk: the embedded queue is observed, and a server
is asked for its status.
"""

from __future__ import annotations

import json
import math
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import trio

from bench.children import end_in_order
from bench.daemon import WORKERS, daemon
from bench.embedded import Ends, TimedBackend, queue
from bench.figures import percentile
from bench.payload import new_task
from bench.peers.plain import PlainServer
from bench.peers.scripts.sizing import CONCURRENT, chunks, settled, until_next_look
from bench.peers.synced import durability
from bench.scenario import NotMeasured
from oq import AsyncClient, Queue
from oq.backends.simulated import NoopBackend
from oq.words.errors import lone

IDLE = 0.004
"""Seconds of rest before a probe, as the peers have."""

Enqueue = Callable[[int], Awaitable[None]]
"""Submits so many tasks, in one of the ways."""


@dataclass
class Sheet:
    """What one side found in one round."""

    figures: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    durability: str = "not known"

    async def keep(
        self, name: str, rate_of: Callable[[int], Awaitable[float]], seconds: float
    ) -> None:
        self.figures[name], self.counts[name] = await settled(rate_of, seconds)

    def keep_delays(self, delays: list[float]) -> None:
        """Of the probes, in milliseconds."""
        self.figures["start_p50"] = percentile(delays, 0.5)
        self.figures["start_p99"] = percentile(delays, 0.99)
        self.counts["start"] = len(delays)


async def taken(enqueue: Enqueue, count: int) -> float:
    """Tasks a second that are acknowledged."""
    begun = time.perf_counter()
    await enqueue(count)
    return count / (time.perf_counter() - begun)


async def one_by_one(submit: Callable[[], Awaitable[object]], count: int) -> None:
    for _ in range(count):
        await submit()


async def at_once(submit: Callable[[], Awaitable[object]], count: int) -> None:
    """`CONCURRENT` producers, each with one call at a time, until all are submitted."""
    left: Iterator[int] = iter(range(count))

    async def produce() -> None:
        for _ in left:
            await submit()

    async with trio.open_nursery() as producers:
        for _ in range(CONCURRENT):
            producers.start_soon(produce)


def ways(queue: Queue | AsyncClient) -> dict[str, Enqueue]:
    """The ways to submit, which the embedded queue and its client share."""

    async def submit() -> None:
        await queue.submit(new_task())

    async def bulk(count: int) -> None:
        for part in chunks(0, count):
            await queue.submit_many([new_task() for _ in part])

    return {
        "single": lambda count: one_by_one(submit, count),
        "concurrent": lambda count: at_once(submit, count),
        "bulk": bulk,
    }


async def embedded(sheet: Sheet, seconds: float, probes: int) -> None:
    for way in ("single", "concurrent", "bulk"):
        async with queue(NoopBackend()) as (opened, _):
            await opened.pause()
            enqueue = ways(opened)[way]
            await sheet.keep(f"enqueue_{way}", lambda n: taken(enqueue, n), seconds / 2)  # noqa: B023
        async with queue(NoopBackend()) as (opened, ends):
            run = _run_embedded(ways(opened)[way], ends)
            await sheet.keep(f"end_to_end_{way}", run, seconds)
    await _embedded_latency(sheet, probes)
    async with queue(NoopBackend()) as (opened, _):
        await opened.pause()
        data = Path(opened.config.queue.storage_path)
        sheet.durability = await durability(data, lambda: opened.submit(new_task()))


def _run_embedded(enqueue: Enqueue, ends: Ends) -> Callable[[int], Awaitable[float]]:
    total = 0

    async def rate_of(count: int) -> float:
        nonlocal total
        total += count
        begun = time.perf_counter()
        await enqueue(count)
        await ends.wait(total)
        return count / (time.perf_counter() - begun)

    return rate_of


async def _embedded_latency(sheet: Sheet, probes: int) -> None:
    backend = TimedBackend()
    delays = []
    async with queue(backend) as (opened, ends):
        for number in range(1, probes + 1):
            await trio.sleep(IDLE)
            begun = time.perf_counter()
            await opened.submit(new_task())
            await ends.wait(number)
            delays.append((backend.called[-1] - begun) * 1e3)
    sheet.keep_delays(delays)


async def client(sheet: Sheet, seconds: float, probes: int) -> None:
    with on_disk() as (url, data):
        async with AsyncClient(url) as to_server:
            for way, enqueue in ways(to_server).items():
                await to_server.pause()
                await sheet.keep(f"enqueue_{way}", lambda n: taken(enqueue, n), seconds / 2)  # noqa: B023
                await to_server.resume()
                status = await to_server.status()
                await _completed(to_server, status.completed_tasks, status.total_tasks)
                await sheet.keep(f"end_to_end_{way}", _run_client(enqueue, to_server), seconds)
            await _client_latency(sheet, to_server, probes)
            await to_server.pause()
            sheet.durability = await durability(data, lambda: to_server.submit(new_task()))


@contextmanager
def on_disk() -> Iterator[tuple[str, Path]]:
    """A daemon, and the directory that it has its data in."""
    with tempfile.TemporaryDirectory(prefix="oq-bench-") as folder:
        data = Path(folder) / "data"
        with daemon(data) as started:
            yield started.url, data


def _run_client(enqueue: Enqueue, to_server: AsyncClient) -> Callable[[int], Awaitable[float]]:
    async def rate_of(count: int) -> float:
        before = (await to_server.status()).completed_tasks
        begun = time.perf_counter()
        await enqueue(count)
        await _completed(to_server, before, before + count, begun)
        return count / (time.perf_counter() - begun)

    return rate_of


async def _completed(
    to_server: AsyncClient, before: int, target: int, begun: float | None = None
) -> None:
    """Wait until so many tasks are completed; there were `before` of them at the time `begun`."""
    begun = time.perf_counter() if begun is None else begun
    while (now := (await to_server.status()).completed_tasks) < target:
        took = time.perf_counter() - begun
        await trio.sleep(until_next_look(target - now, now - before, took))


async def _client_latency(sheet: Sheet, to_server: AsyncClient, probes: int) -> None:
    """By what the task itself says of its start: the daemon is on the same machine's clock."""
    delays = []
    for _ in range(probes):
        await trio.sleep(IDLE)
        begun = time.time()
        task_id = await to_server.submit(new_task())
        task = await to_server.get(task_id, wait=math.inf)
        assert task.started_at is not None
        delays.append((task.started_at.timestamp() - begun) * 1e3)
    sheet.keep_delays(delays)


async def http(sheet: Sheet, seconds: float) -> None:
    with on_disk() as (url, data):
        await elsewhere(sheet, seconds, url)
        async with AsyncClient(url) as to_server, PlainServer(url).connection() as post:
            await to_server.pause()
            sheet.durability = await durability(data, post)


async def elsewhere(sheet: Sheet, seconds: float, url: str) -> None:
    """A server of which nothing is known but where it is."""
    server = PlainServer(url)
    await sheet.keep("end_to_end_single", server.one_by_one, seconds)
    await sheet.keep("end_to_end_concurrent", server.at_once, seconds)


async def measure(side: str, seconds: float, probes: int, url: str | None) -> dict[str, Any]:
    sheet = Sheet()
    if side == "embedded":
        await embedded(sheet, seconds, probes)
    elif side == "client":
        await client(sheet, seconds, probes)
    elif url is None:
        await http(sheet, seconds)
    else:
        await elsewhere(sheet, seconds, url)
    own = f"oq {version('oq')}"
    return {
        "version": own if url is None else f"the server at {url}",
        "workers": f"{WORKERS} slots" if url is None else "its own",
        "durability": sheet.durability,
        "figures": sheet.figures,
        "counts": sheet.counts,
    }


if __name__ == "__main__":
    end_in_order()
    url = sys.argv[4] if len(sys.argv) > 4 else None
    failed = False
    try:
        found = trio.run(measure, sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), url)
        print(json.dumps(found))
    except* NotMeasured as reasons:  # one of each of the connections that were at it
        print(lone(reasons.exceptions[0]), file=sys.stderr)
        failed = True
    sys.exit(failed)

"""A million tasks over 200 models and 100 tenants that wait, with every rule turned on.

The data directory is filled once. In each round a process of its own opens it
(`python -m bench.mixed DIRECTORY COUNT`), and says how long that took and how much memory it has.
How long it takes to find the next task is measured on a board alone, with as many.
"""

from __future__ import annotations

import math
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from bench.children import helper
from bench.figures import percentile
from bench.payload import submission
from bench.pending import BATCH, main, resident
from bench.rules import ALL
from bench.runner import say
from bench.scenario import Setting, Side
from oq.backends.simulated import NoopBackend
from oq.queue import Queue, open_queue
from oq.rules.board import Board
from oq.rules.fleet import Fleet
from oq.rules.place import Place
from oq.rules.policies import POLICIES
from oq.rules.slots import BackendSlots
from oq.words.config import Config, to_config
from oq.words.messages import SERVED
from oq.words.task import Priority, Submission

WAITING = 1_000_000
MODELS, TENANTS = 200, 100
PRIORITIES = ("low", "normal", "high")
BACKENDS = 3
STARTS = 2_000
"""Tasks that start while it is measured how long it takes to find them."""

_decode = msgspec.json.Decoder(dict[str, float]).decode


@asynccontextmanager
async def mixed(setting: Setting) -> AsyncIterator[list[Side]]:
    """Start to ready, memory, and the search for the next task; a directory for all rounds."""
    count = setting.sized(WAITING, least=BATCH)
    with tempfile.TemporaryDirectory(prefix="oq-bench-") as folder:
        say(f"mixed: submitting {count:,} tasks")
        _opened(folder, count)

        async def start() -> dict[str, float]:
            return _opened(folder, count)

        async def find() -> dict[str, float]:
            return {"mixed_next": search(count)}

        yield [start, find]


def _opened(directory: str, count: int) -> dict[str, float]:
    """What a process says that has opened this directory, and filled it up."""
    with helper("bench.mixed", directory, str(count)) as process:
        return _decode(process.answer())


def settings(directory: str, count: int) -> Config:
    """With every rule turned on."""
    return to_config(
        {
            "queue": {
                "storage_path": directory,
                "max_workers": BACKENDS,
                "max_completed_tasks": 0,
                "max_pending": 2 * count + BATCH,
            },
            "backends": [
                {"name": f"box{number}", "kind": "ollama", "url": f"http://127.0.0.1:{9 + number}"}
                for number in range(BACKENDS)
            ],
            **ALL,
        }
    )


def task(number: int) -> Submission:
    """One of the tasks: neighbours have other models and tenants."""
    tenant = msgspec.Raw(msgspec.json.encode({"tenant": f"tenant-{number * 7 % TENANTS}"}))
    priority = PRIORITIES[number % len(PRIORITIES)]
    plain = submission(f"model-{number * 11 % MODELS}", priority)
    return msgspec.structs.replace(plain, metadata=tenant)


async def _fill(queue: Queue, count: int) -> None:
    while (missing := count - queue.status().pending_tasks) > 0:
        first = count - missing
        some = range(first, first + min(missing, BATCH))
        await queue.raw.submit_many([task(number) for number in some])


async def serve(directory: str, count: int) -> None:
    """Open the queue, say what that took, and fill it."""
    begun = time.perf_counter()
    config = settings(directory, count)
    async with open_queue(config, backends=[NoopBackend()]) as queue:
        figures = {"mixed_start": time.perf_counter() - begun, "mixed_rss": resident()}
        await queue.pause()  # which is kept: so nothing ever starts
        await _fill(queue, count)
    print(msgspec.json.encode(figures).decode(), flush=True)


def search(count: int) -> float:
    """Microseconds in which the next task is found: the median of STARTS."""
    board = _board(count)
    running: list[str] = []
    taken: list[float] = []
    for second in range(STARTS + BACKENDS):
        begun = time.perf_counter()
        for job in board.starts(second):
            taken.append((time.perf_counter() - begun) * 1e6)
            running.append(job.task_id)
            begun = time.perf_counter()
        task_id = running.pop(0)
        board.end(task_id)
        board.free(task_id, second + 0.5, SERVED)
        board.forecast.settle(second + 0.5)
    return percentile(taken, 0.5)


def _board(count: int) -> Board:
    """A board on which so many tasks wait, as `task` makes them."""
    config = settings("unused", count)
    fleet = Fleet([BackendSlots(f"box{number}", BACKENDS) for number in range(BACKENDS)])
    policy = POLICIES[config.scheduler.policy](fleet, config.scheduler, config.fairness)
    preempts = config.scheduler.max_preemptions
    board = Board(BACKENDS, fleet, policy, paused=False, preempts=preempts)
    levels = [int(Priority[name.upper()]) for name in PRIORITIES]
    places = [
        Place(
            levels[n % len(levels)], f"model-{n * 11 % MODELS}", tenant=f"tenant-{n * 7 % TENANTS}"
        )
        for n in range(math.lcm(len(levels), MODELS, TENANTS))
    ]
    board.load((f"{n:036d}", places[n % len(places)]) for n in range(count))
    return board


if __name__ == "__main__":
    sys.exit(main("bench.mixed", serve))

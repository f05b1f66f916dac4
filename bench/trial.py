"""What the gate measures: an embedded queue with its HTTP server, over a disk that never waits; and
calls that go through such a one (`bench.gateways.trial`).

All in one process, so that its times can be told from those of others (`bench.stopwatch`).
"""

from __future__ import annotations

import tempfile
from collections.abc import Awaitable, Callable, Mapping
from math import inf

import trio

from bench import yardstick
from bench.embedded import Ends
from bench.gateways.trial import gateway
from bench.inside import Undisturbed, opened
from bench.payload import body, submission
from bench.scenario import NotMeasured
from bench.stopwatch import Stopwatch
from bench.wire import Answer, address, request
from oq.backends.simulated import NoopBackend
from oq.queue import Queue
from oq.words.config import to_config

BULK = 1_000
PRODUCERS, EACH = 64, 8
LONE = 25
POSTS = 25

Figures = dict[str, float]
"""Seconds a task by the names of the costs, syncs by theirs, and seconds of the yardsticks."""


def measure(rounds: int) -> Figures:
    """The least of so many rounds: of each cost, and of each yardstick."""
    with tempfile.TemporaryDirectory(prefix="oq-gate-") as directory:
        return trio.run(_measure, directory, rounds)


async def _measure(directory: str, rounds: int) -> Figures:
    config = to_config({"queue": {"max_workers": 64, "max_completed_tasks": 0}})
    async with (
        opened(config, f"{directory}/queue", backends=[NoopBackend()]) as (queue, engine, url),
        gateway(f"{directory}/gateway") as through,
        yardstick.hop() as hop,
    ):
        trial = Trial(queue, engine, url)
        found: Figures = {}
        for _ in range(rounds):
            figures = yardstick.loop() | await hop.measure() | await trial.round()
            found = least(found, figures | await through.round())
        return found


def least(one: Mapping[str, float], other: Mapping[str, float]) -> Figures:
    """Of each figure the lesser."""
    return {name: min(one.get(name, inf), figure) for name, figure in other.items()}


class Trial:
    """Measures an open queue, round for round."""

    def __init__(self, queue: Queue, engine: Undisturbed, url: str) -> None:
        self._queue = queue
        self._engine = engine
        self._url = url
        self._ends = Ends(queue)
        self._submitted = 0
        self._post = request(url, "POST", "/api/tasks", body())

    async def round(self) -> Figures:
        commits, syncs = self._engine.commits, self._engine.syncs
        figures = {
            **await self._timed("bulk", self._bulk, BULK),
            **await self._timed("producers", self._producers, PRODUCERS * EACH),
            **await self._timed("lone", self._lone, LONE),
            **await self._timed("post", self._posts, POSTS),
        }
        commits, syncs = self._engine.commits - commits, self._engine.syncs - syncs
        return figures | {"commit_syncs": syncs / commits}

    async def _timed(self, name: str, work: Callable[[], Awaitable[None]], tasks: int) -> Figures:
        """What the work takes, for each of its tasks, until the last has ended."""
        syncs = self._engine.syncs
        watch = Stopwatch()
        await work()
        await self._ended(0)
        taken = watch.taken()
        return {
            f"{name}_wall": taken.wall / tasks,
            f"{name}_cpu": taken.cpu / tasks,
            f"{name}_syncs": (self._engine.syncs - syncs) / tasks,
        }

    async def _bulk(self) -> None:
        await self._queue.raw.submit_many([submission()] * BULK)
        self._submitted += BULK

    async def _producers(self) -> None:
        async def produce() -> None:
            for _ in range(EACH):
                await self._queue.raw.submit(submission())

        async with trio.open_nursery() as nursery:
            for _ in range(PRODUCERS):
                nursery.start_soon(produce)
        self._submitted += PRODUCERS * EACH

    async def _lone(self) -> None:
        for _ in range(LONE):
            await self._queue.raw.submit(submission())
            await self._ended(1)

    async def _posts(self) -> None:
        async with await trio.open_tcp_stream(*address(self._url)) as stream:
            for _ in range(POSTS):
                await stream.send_all(self._post)
                answer = Answer()
                while not answer.done and (data := await stream.receive_some()):
                    answer.feed(data)
                if answer.problem is not None:
                    raise NotMeasured(f"POST /api/tasks: {answer.problem}")
        self._submitted += POSTS

    async def _ended(self, more: int) -> None:
        self._submitted += more
        await self._ends.wait(self._submitted)

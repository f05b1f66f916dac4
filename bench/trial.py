"""What the gate measures: an embedded queue with its HTTP server, over a disk that never waits.

All in one process, so that its times can be told from those of others (`bench.stopwatch`).
"""

from __future__ import annotations

import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from math import inf
from typing import Any

import trio

from bench import yardstick
from bench.embedded import Ends
from bench.payload import body, submission
from bench.scenario import NotMeasured
from bench.stopwatch import Stopwatch
from bench.wire import Answer, request
from oq.backends.simulated import NoopBackend
from oq.http.app import create_app
from oq.http.server import Server
from oq.queue import Queue, open_queue
from oq.store import KeyValueLedger
from oq.store.engine import Put
from oq.store.rocks import RocksEngine
from oq.words.config import to_config

BULK = 1_000
PRODUCERS, EACH = 64, 8
LONE = 25
HOST = "127.0.0.1"
POSTS = 25

Figures = dict[str, float]
"""Seconds a task by the names of the costs, syncs by theirs, and seconds of the yardsticks."""


class Unsynced:
    """A RocksDB whose log is flushed, but never waited for."""

    def __init__(self, db: Any) -> None:
        self._db = db

    def flush_wal(self, _sync: bool) -> None:
        self._db.flush_wal(False)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)


class Undisturbed(RocksEngine):
    """The engine as it is, but for the disk: that is the machine's, and not oq's. It counts."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._db: Any = Unsynced(self._db)
        self.commits = 0
        self.syncs = 0

    def write(self, batch: list[Put]) -> None:
        self.commits += 1
        super().write(batch)

    def sync(self, commit: int) -> None:
        self.syncs += 1
        super().sync(commit)


def measure(rounds: int) -> Figures:
    """The least of so many rounds: of each cost, and of each yardstick."""
    with tempfile.TemporaryDirectory(prefix="oq-gate-") as directory:
        return trio.run(_measure, directory, rounds)


async def _measure(directory: str, rounds: int) -> Figures:
    config = to_config({"queue": {"max_workers": 64, "max_completed_tasks": 0}})
    engine = Undisturbed(directory)
    async with (
        open_queue(config, backends=[NoopBackend()], ledger=KeyValueLedger(engine)) as queue,
        _served(queue) as port,
        yardstick.hop() as hop,
    ):
        trial = Trial(queue, engine, port)
        found: Figures = {}
        for _ in range(rounds):
            found = least(found, yardstick.loop() | await hop.measure() | await trial.round())
        return found


@asynccontextmanager
async def _served(queue: Queue) -> AsyncIterator[int]:
    """The port of 127.0.0.1 on which the queue's HTTP server listens."""
    with socket.create_server((HOST, 0)) as listener:
        app = create_app(queue)
        server = Server(app, app.fast_path, [listener], max_connections=8)
        async with trio.open_nursery() as nursery:
            await nursery.start(server.run)
            yield listener.getsockname()[1]
            nursery.cancel_scope.cancel()


def least(one: Mapping[str, float], other: Mapping[str, float]) -> Figures:
    """Of each figure the lesser."""
    return {name: min(one.get(name, inf), figure) for name, figure in other.items()}


class Trial:
    """Measures an open queue, round for round."""

    def __init__(self, queue: Queue, engine: Undisturbed, port: int) -> None:
        self._queue = queue
        self._engine = engine
        self._port = port
        self._ends = Ends(queue)
        self._submitted = 0
        self._post = request(f"http://{HOST}:{port}", "POST", "/api/tasks", body())

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
        async with await trio.open_tcp_stream(HOST, self._port) as stream:
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

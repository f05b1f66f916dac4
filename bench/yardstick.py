"""What the gate measures in: two fixed pieces of work that share no code with oq.

`loop` is work of the interpreter alone, as that of a queue that is never idle. `hop` is what one
task after the other is made of: a message to a thread and back, one through a socket and back, a
few turns of the event loop, and some work of the interpreter. How dear the ones are beside the
others differs between machines, so each cost of oq is counted in the one that it is like.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from queue import SimpleQueue
from threading import Thread

import trio

from bench.figures import percentile
from bench.stopwatch import Stopwatch

LOOPS = 20
TURNS = 5_000
"""Turns in one loop: about as many as last as long as a lone task."""
HOPS = 40
HOP_TURNS = 1_000
CHECKPOINTS = 6
FASTEST = 0.1
"""The share of the pieces that are fast: the slowest of these counts."""
MESSAGE = b"x" * 500


def loop() -> dict[str, float]:
    """Seconds of one turn."""
    taken = []
    for _ in range(LOOPS):
        watch = Stopwatch()
        _turn(TURNS)
        taken.append(watch.taken())
    return {
        "loop_wall": percentile([one.wall for one in taken], FASTEST) / TURNS,
        "loop_cpu": percentile([one.cpu for one in taken], FASTEST) / TURNS,
    }


def _turn(turns: int) -> None:
    """Fixed work of dicts, lists and calls."""
    table: dict[int, list[int]] = {}
    for turn in range(turns):
        table.setdefault(turn % 1000, []).append(turn)
        if turn % 10 == 0:
            table.pop(turn % 1000, None)


class Hop:
    """A thread and a connection, both of which give back what they get."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._asked: SimpleQueue[trio.lowlevel.Task | None] = SimpleQueue()
        self._trio = trio.lowlevel.current_trio_token()
        self._thread = Thread(target=self._serve, name="bench.hop", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._asked.put(None)
        self._thread.join()

    async def measure(self) -> dict[str, float]:
        """Seconds of one hop, of the fastest of a few rows of them."""
        taken = []
        for _ in range(HOPS // 4):
            watch = Stopwatch()
            for _ in range(4):
                await self._once()
            taken.append(watch.taken())
        return {
            "hop_wall": percentile([one.wall for one in taken], FASTEST) / 4,
            "hop_cpu": percentile([one.cpu for one in taken], FASTEST) / 4,
        }

    async def _once(self) -> None:
        await self._stream.send_all(MESSAGE)
        await self._stream.receive_some()
        for _ in range(CHECKPOINTS):
            await trio.lowlevel.checkpoint()
        _turn(HOP_TURNS)
        self._asked.put(trio.lowlevel.current_task())
        await trio.lowlevel.wait_task_rescheduled(lambda _: trio.lowlevel.Abort.FAILED)

    def _serve(self) -> None:
        while (task := self._asked.get()) is not None:
            self._trio.run_sync_soon(trio.lowlevel.reschedule, task)


@asynccontextmanager
async def hop() -> AsyncIterator[Hop]:
    """One that is ready."""

    async def echo(stream: trio.SocketStream) -> None:
        while data := await stream.receive_some():
            await stream.send_all(data)

    ours, theirs = map(trio.SocketStream, trio.socket.socketpair())
    async with ours, theirs, trio.open_nursery() as nursery:
        nursery.start_soon(echo, theirs)
        made = Hop(ours)
        try:
            yield made
        finally:
            made.close()
            nursery.cancel_scope.cancel()

"""What the gate measures of oq as a gateway: the processor time of a call and of a streamed chunk.

oq runs in this process, over a disk that never waits; the backend and the callers do not, so that
what they need is not in it.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import trio

from bench.gateways.backend import backend
from bench.gateways.bodies import CHAT, call, stream
from bench.gateways.load import Load, Lone, Paced, Target, load
from bench.gateways.served import settings
from bench.inside import opened
from oq.words.config import to_config

CALLS, CHUNKS = 25, 100


class GatewayTrial:
    """Measures an oq in this process, round for round: one call after the other, and one stream
    whose chunks come one after the other. With more at a time, how many of them a turn of the event
    loop takes would be the machine's luck.
    """

    def __init__(self, url: str, behind: str, callers: Load) -> None:
        self._callers = callers
        self._calls = Lone(_target(url, call(CHAT)), CALLS)
        # One chunk comes at once, one is read before it counts, and one is the last.
        self._chunks = Paced(_target(url, stream(CHAT, CHUNKS + 3)), behind, CHUNKS)

    async def round(self) -> dict[str, float]:
        with on_one_processor():
            calls = await trio.to_thread.run_sync(self._callers.do, self._calls)
            chunks = await trio.to_thread.run_sync(self._callers.do, self._chunks)
        return {"call_cpu": calls.cpu_each, "chunk_cpu": chunks.cpu_each}


@contextmanager
def on_one_processor() -> Iterator[None]:
    """All threads of this process share one. To wake a thread on another one that sleeps is work,
    a third of a call's, and which of them sleep is the machine's luck.
    """
    before = os.sched_getaffinity(0)
    _confine({min(before)})
    try:
        yield
    finally:
        _confine(before)


def _confine(processors: set[int]) -> None:
    for thread in os.listdir("/proc/self/task"):
        with suppress(ProcessLookupError):  # it has ended
            os.sched_setaffinity(int(thread), processors)


def _target(url: str, body: str) -> Target:
    return Target(url, CHAT, body, os.getpid(), alone=True)


@asynccontextmanager
async def gateway(directory: str) -> AsyncIterator[GatewayTrial]:
    """One that is ready, over that directory."""
    with backend(0) as behind, load() as callers:
        config = to_config(settings(Path(directory), behind.url, 4))
        async with opened(config, directory) as inside:
            yield GatewayTrial(inside.url, behind.url, callers)

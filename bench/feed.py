"""The live feed: what subscribers cost those who submit, and whether all of them keep up."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from bench.daemon import daemon
from bench.figures import percentile
from bench.payload import body
from bench.scenario import NotMeasured, Setting, Side
from bench.watchers import watchers
from bench.wire import KeptAlive, request

SUBSCRIBERS = 200
RATE = 20
"""Submits a second, each of which is one event for each subscriber."""
SUBMITS = 200
"""In a side's turn."""
GRACE = 1.0
"""Seconds after the last submit in which its event must have come."""


@asynccontextmanager
async def subscribers(setting: Setting) -> AsyncIterator[list[Side]]:
    """20 submits a second, without and with 200 subscribers."""
    count, submits = setting.sized(SUBSCRIBERS), setting.sized(SUBMITS, least=RATE)
    with daemon() as oq:

        async def without() -> dict[str, float]:
            return {"unwatched_p99": await _submit(oq.url, submits)}

        async def watched() -> dict[str, float]:
            with watchers(oq.url, count) as started:
                p99 = await _submit(oq.url, submits)
                await trio.sleep(GRACE)
                seen = started.seen()
            if seen.lagged:
                raise NotMeasured(f"{seen.lagged} times a subscriber was told that it lagged")
            return {"watched_p99": p99, "watched_kept": seen.events / (count * submits)}

        yield [without, watched]


async def _submit(url: str, submits: int) -> float:
    """p99 of the time from a request to its answer, in milliseconds."""
    one, taken = request(url, "POST", "/api/tasks", body()), []
    with KeptAlive(url) as connection:
        start = trio.current_time()
        for number in range(submits):
            await trio.sleep_until(start + number / RATE)
            begun = time.perf_counter()
            answer = connection.ask(one)
            taken.append((time.perf_counter() - begun) * 1e3)
            if answer.problem is not None:
                raise NotMeasured(f"POST /api/tasks: {answer.problem}")
    return percentile(taken, 0.99)

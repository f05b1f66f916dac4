"""Real traffic for the simulated machine, in virtual time: who came when, with how many tokens.

`bench.traces` says what a trace is. Tests that need one are skipped where there is none.

    arrivals = read_trace(find_trace("azure-2023-conv.csv"), scale=4, limit=1000)
    await replay(arrivals, run)            # on the mock clock
    script = script_of(arrival, read=2000, rate=50, together=50)
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import pytest
import trio

from bench.traces import read_requests, trace_file
from oq.backends.simulated import Script


class Arrival(NamedTuple):
    """A request: the seconds since the first one, and its tokens."""

    number: int
    at: float
    prompt_tokens: int
    tokens: int


def find_trace(name: str) -> Path:
    """The file of this name; the test is skipped, and says so, if there is none."""
    path = trace_file(name)
    if path is None:
        pytest.skip(f"there is no {name}: OQ_TRACES is no folder that has it")
    return path


def read_trace(path: Path, *, scale: float = 1, limit: int | None = None) -> list[Arrival]:
    """The first `limit` requests of a trace, `scale` times as fast as they came. ValueError if it
    is none.
    """
    rows = read_requests(path, limit)
    return [
        Arrival(number, (at - rows[0].at).total_seconds() / scale, prompt, tokens)
        for number, (at, prompt, tokens) in enumerate(rows)
    ]


def script_of(arrival: Arrival, *, read: float, rate: float, together: int = 1) -> Script:
    """How a machine answers it that reads `read` tokens a second and generates `rate`. The more
    tokens come `together`, the less real time it takes.
    """
    prompt = arrival.prompt_tokens / read
    return Script(prompt=prompt, rate=rate, tokens=arrival.tokens, together=together)


async def replay(arrivals: Iterable[Arrival], run: Callable[[Arrival], Awaitable[None]]) -> None:
    """Start `run` for each request when it comes, by trio's clock; return when all have ended."""
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        for arrival in arrivals:
            await trio.sleep_until(began + arrival.at)
            nursery.start_soon(run, arrival)

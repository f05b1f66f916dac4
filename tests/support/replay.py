"""Real traffic for the simulated machine, in virtual time: who came when, with how many tokens.

A trace is a CSV file with the columns TIMESTAMP, ContextTokens and GeneratedTokens, as those of
https://github.com/Azure/AzurePublicDataset. None is in this repository: OQ_TRACES is a folder that
has some, and tests that need one are skipped where there is none.

    arrivals = read_trace(find_trace("azure-2023-conv.csv"), scale=4, limit=1000)
    await replay(arrivals, run)            # on the mock clock
    script = script_of(arrival, read=2000, rate=50, together=50)
"""

from __future__ import annotations

import csv
import os
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import pytest
import trio

from oq.backends.simulated import Script


class Arrival(NamedTuple):
    """A request: the seconds since the first one, and its tokens."""

    number: int
    at: float
    prompt_tokens: int
    tokens: int


def find_trace(name: str) -> Path:
    """The file of this name; the test is skipped, and says so, if there is none."""
    path = Path(os.environ.get("OQ_TRACES", "")) / name
    if not os.environ.get("OQ_TRACES") or not path.exists():
        pytest.skip(f"there is no {name}: OQ_TRACES is no folder that has it")
    return path


def read_trace(path: Path, *, scale: float = 1, limit: int | None = None) -> list[Arrival]:
    """The first `limit` requests of a trace, `scale` times as fast as they came. ValueError if it
    is none.
    """
    with path.open(newline="") as file:
        rows = list(islice(csv.DictReader(file), limit))
    try:
        times = [_time(row["TIMESTAMP"]) for row in rows]
        counts = [(int(row["ContextTokens"]), int(row["GeneratedTokens"])) for row in rows]
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path} is no trace: {error}") from None
    first = times[0] if times else datetime.min
    return [
        Arrival(number, (time - first).total_seconds() / scale, prompt, tokens)
        for number, (time, (prompt, tokens)) in enumerate(zip(times, counts, strict=True))
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


def _time(text: str) -> datetime:
    """Fractions beyond microseconds are left out."""
    return datetime.fromisoformat(text[:26])

"""How long `oq --version` takes, which every use of the command line pays, and Python by itself."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from bench.figures import percentile
from bench.scenario import Setting, Side


@asynccontextmanager
async def version(setting: Setting) -> AsyncIterator[list[Side]]:
    """Milliseconds from the start of the process to its end; p50 of some calls."""
    calls = setting.sized(10)

    async def ours() -> dict[str, float]:
        return {"version": await _p50(calls, "-m", "oq.cli", "--version")}

    async def bare() -> dict[str, float]:
        return {"version_bare": await _p50(calls, "-c", "pass")}

    yield [ours, bare]


async def _p50(calls: int, *arguments: str) -> float:
    taken = []
    for _ in range(calls):
        begun = time.perf_counter()
        await trio.run_process([sys.executable, *arguments], stdout=subprocess.DEVNULL)
        taken.append((time.perf_counter() - begun) * 1e3)
    return percentile(taken, 0.5)

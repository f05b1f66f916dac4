"""What a thousand and a million pending tasks cost: to submit, start, list, count and open.

Each size is a data directory that is filled once, and a process that keeps it open; the sizes are
measured in turns. Then a daemon is started on the largest, again and again.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from bench.daemon import daemon
from bench.pending import resident_of
from bench.runner import say
from bench.scenario import Setting, Side

SIZES = (1_000, 10_000, 100_000, 1_000_000)
ORDERS = ("submit 100", "pop 100", "list 10", "status 50")
"""What each size does in its turn. As many are popped as submitted, so that it stays as it is."""
TURNS = 3
"""Turns of the sizes in a round: what the machine does for a second then meets all of them."""
NOBODY = "http://127.0.0.1:9"
"""Where no Ollama listens: the daemon's tasks stay pending, and it is ready all the same."""

_decode = msgspec.json.Decoder(dict[str, float]).decode


class Filled:
    """A process with an open queue of `size` pending tasks. `start` is what it said at first."""

    def __init__(self, directory: Path, size: int) -> None:
        self.directory = directory
        self.size = size
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.pending", str(directory), str(size)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.start = self._answer()

    def ask(self, order: str) -> dict[str, float]:
        assert self._process.stdin is not None
        self._process.stdin.write(order.encode() + b"\n")
        self._process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        self._process.communicate()
        if self._process.returncode:
            raise RuntimeError(f"bench.pending ended with {self._process.returncode}")

    def _answer(self) -> dict[str, float]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"bench.pending ended with {self._process.wait()}")
        return _decode(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
        else:
            self._process.kill()
            self._process.communicate()


def named(size: int) -> str:
    """A size as figures are named after it: 1k, 1m."""
    return f"{size // 1_000_000}m" if size >= 1_000_000 else f"{size // 1000}k"


def sizes_of(setting: Setting) -> list[int]:
    """The sizes of a run; small runs have fewer."""
    return sorted({max(SIZES[0], round(size * setting.scale)) for size in SIZES})


@asynccontextmanager
async def growth(setting: Setting) -> AsyncIterator[list[Side]]:
    """The sizes in turns, and a daemon on the largest."""
    sizes = sizes_of(setting)
    with tempfile.TemporaryDirectory(prefix="oq-bench-") as folder:
        places = {size: Path(folder) / named(size) for size in sizes}
        filled: dict[str, float] = {}
        for size, place in places.items():
            say(f"growth: submitting {size:,} tasks")
            with Filled(place, size) as opened:
                filled["fill"] = opened.start["filled"] / opened.start["fill_seconds"]

        async def compare() -> dict[str, float]:
            return filled | _compare(places)

        async def start() -> dict[str, float]:
            return _start(places[sizes[-1]])

        yield [compare, start]


def _compare(places: dict[int, Path]) -> dict[str, float]:
    """Each size opened and asked in turns; the figures end in `_1k`, `_1m`."""
    found: dict[str, list[float]] = {}
    with ExitStack() as stack:
        opened = [stack.enter_context(Filled(place, size)) for size, place in places.items()]
        for one in opened:
            found[f"recovery_{named(one.size)}"] = [one.start["recovery"]]
            found[f"rss_{named(one.size)}"] = [one.start["rss"]]
        for _ in range(TURNS):
            for order in ORDERS:
                for one in opened:
                    for what, value in one.ask(order).items():
                        found.setdefault(f"{what}_{named(one.size)}", []).append(value)
    figures = {name: statistics.median(values) for name, values in found.items()}
    least, most = named(min(places)), named(max(places))
    return figures | {"submit_growth": figures[f"submit_{most}"] / figures[f"submit_{least}"]}


def _start(directory: Path) -> dict[str, float]:
    begun = time.perf_counter()
    with daemon(directory, ollama=NOBODY) as started:
        return {
            "pending_start": time.perf_counter() - begun,
            "pending_rss": resident_of(started.pid),
            "pending_peak": resident_of(started.pid, "VmHWM"),
        }

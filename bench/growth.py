"""What a thousand and a million pending tasks cost: to submit, start, list, count and open.

Each size is a data directory that is filled once, and a process that keeps it open; the sizes are
measured in turns. Then a daemon is started on the largest, again and again.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import msgspec

from bench.children import Helper, helper
from bench.daemon import daemon
from bench.pending import resident_of
from bench.runner import say
from bench.scenario import Setting, Side

SIZES = (1_000, 10_000, 100_000, 1_000_000)
ORDERS = ("submit 100", "pop 100", "list 10", "status 50")
"""What each size does in its turn. As many are popped as submitted, so that it stays as it is."""
TURNS = 3
"""Turns of the sizes in a round: what the machine does for a second then meets all of them."""
"""Where no Ollama listens: the daemon's tasks stay pending, and it is ready all the same."""

_decode = msgspec.json.Decoder(dict[str, float]).decode


class Filled:
    """A process with an open queue of `size` pending tasks. `start` is what it said at first."""

    def __init__(self, process: Helper, size: int) -> None:
        self.size = size
        self._process = process
        self.start = _decode(process.answer())

    def ask(self, order: str) -> dict[str, float]:
        return _decode(self._process.ask(order))


@contextmanager
def filled(directory: Path, size: int) -> Iterator[Filled]:
    """The queue in this directory, filled up to `size`, and closed in the end."""
    with helper("bench.pending", str(directory), str(size)) as process:
        yield Filled(process, size)


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
        once = _fill(places)

        async def compare() -> dict[str, float]:
            figures = _compare(places) | once
            once.clear()
            return figures

        async def start() -> dict[str, float]:
            return _start(places[sizes[-1]])

        yield [compare, start]


def _fill(places: dict[int, Path]) -> dict[str, float]:
    """Fill each directory; how fast that was with the largest, which takes too long to do it again
    in every round.
    """
    rate = 0.0
    for size, place in places.items():
        say(f"growth: submitting {size:,} tasks")
        with filled(place, size) as opened:
            rate = opened.start["filled"] / opened.start["fill_seconds"]
    return {"fill": rate}


def _compare(places: dict[int, Path]) -> dict[str, float]:
    """Each size opened and asked in turns; the figures end in `_1k`, `_1m`."""
    found: dict[str, list[float]] = {}
    with ExitStack() as stack:
        opened = [stack.enter_context(filled(place, size)) for size, place in places.items()]
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
    with daemon(directory) as started:
        return {
            "pending_start": time.perf_counter() - begun,
            "pending_rss": resident_of(started.pid),
            "pending_peak": resident_of(started.pid, "VmHWM"),
        }

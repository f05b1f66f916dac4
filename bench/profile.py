"""Where the time goes: cProfile over a scenario, its functions by the time spent in them.

    make bench-profile                    the embedded queue, tasks submitted in bulk
    make bench-profile ARGS=producers     64 producers, one task a call; or sequential
    make bench-profile ARGS=client        the daemon, while 64 tasks submit through one client
    make bench-profile ARGS=post          the daemon, while one POST follows the other
    make bench-profile ARGS=streams       the daemon, while 100 tasks stream; for each chunk
    make bench-profile ARGS=call          the daemon, while 16 connections make drop-in calls
    make bench-profile ARGS=chunk         the daemon, while 64 drop-in calls stream; for each chunk

The last two are by module, the others by function, unless `--by` says so. In a table of modules
what is built into Python counts for the module that calls it.

It counts the processor time of the one thread that does the work: waiting is not in it, and neither
is the thread that syncs. A profile makes calls dearer than they are, so it says which functions
matter, not how fast oq is.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

import trio

from bench import embedded, http, streams
from bench.children import interruptible
from bench.daemon import daemon
from bench.gateways import backend as gateway_backend
from bench.gateways.bodies import CHAT, call, stream
from bench.gateways.load import Calls, Order, Streams, Target, load
from bench.stamper import stamper
from oq.cli.demo.children import Child

ROOT = Path(__file__).parent.parent
MOST = 25

EMBEDDED: dict[str, Callable[[int], Awaitable[object]]] = {
    "bulk": embedded.bulk,
    "producers": embedded.producers,
    "sequential": embedded.sequential,
}
DAEMON: dict[str, Callable[[str, int], Awaitable[object]]] = {
    "client": http.end_to_end,
    "post": http.rate,
}
STREAMS = "streams"
CALL, CHUNK = "call", "chunk"
CONNECTIONS, CALLERS = 16, 64
PATIENCE = 600.0
"""Seconds that calls may take, all of them."""
LEAST = {
    "bulk": embedded.BULK,
    "producers": embedded.PRODUCERS,
    "client": http.PARTIES,
    STREAMS: streams.STREAMS,
    CALL: CONNECTIONS,
    CHUNK: 10 * CALLERS,
}
"""Tasks, or chunks, that it takes at least: each party has its share."""


class Entry(NamedTuple):
    """A function in the profile, or a module: its calls for each task (or chunk), and its own time
    (microseconds for each, and the share of all).
    """

    where: str
    calls: float
    own: float
    share: float


def entries(stats: pstats.Stats, tasks: int) -> list[Entry]:
    """What was called, the function that took most by itself first."""
    rows = [
        (place(file, line, name), calls, own)
        for (file, line, name), (_, calls, own, _, _) in stats.stats.items()  # type: ignore[attr-defined]
    ]
    whole = sum(own for _, _, own in rows) or 1.0
    made = [
        Entry(where, calls / tasks, own / tasks * 1e6, own / whole) for where, calls, own in rows
    ]
    return sorted(made, key=lambda entry: -entry.own)


def modules(stats: pstats.Stats, tasks: int) -> list[Entry]:
    """The same, all functions of a module in one; what is built in counts for who calls it."""
    calls: Counter[str] = Counter()
    own: Counter[str] = Counter()
    for (file, line, name), (_, called, spent, _, callers) in stats.stats.items():  # type: ignore[attr-defined]
        if file != "~" or not callers:
            calls[_module(file, line, name)] += called
            own[_module(file, line, name)] += spent
        else:
            for caller, (_, _, there, _) in callers.items():
                own[_module(*caller)] += there
    whole = sum(own.values()) or 1.0
    return [
        Entry(where, calls[where] / tasks, spent / tasks * 1e6, spent / whole)
        for where, spent in own.most_common()
    ]


def _module(file: str, line: int, name: str) -> str:
    return place(file, line, name).partition(":")[0]


def place(file: str, line: int, name: str) -> str:
    """A function as people find it: from the project's root or the package's."""
    if file == "~":
        return name.strip("<>")
    path = Path(file)
    parts = path.parts
    if path.is_relative_to(ROOT) and ".venv" not in parts:
        short = path.relative_to(ROOT)
    elif "site-packages" in parts:
        short = Path(*parts[parts.index("site-packages") + 1 :])
    else:
        short = Path(*parts[-2:])
    return f"{short}:{line} {name}"


def table(found: list[Entry], most: int = MOST, what: str = "function") -> str:
    """The first of them, as Markdown."""
    rows = [f"| {what} | calls each | own µs each | share |", "|-|-|-|-|"]
    rows += [
        f"| `{entry.where}` | {entry.calls:.2f} | {entry.own:.2f} | {entry.share:.1%} |"
        for entry in found[:most]
    ]
    return "\n".join(rows)


def profile(scenario: str, count: int) -> pstats.Stats:
    """What cProfile saw while so many tasks, or chunks, went through."""
    if scenario in EMBEDDED:
        watcher = cProfile.Profile(time.thread_time)
        watcher.runcall(trio.run, EMBEDDED[scenario], count)
        return pstats.Stats(watcher)
    with tempfile.TemporaryDirectory(prefix="oq-bench-") as folder:
        seen = Path(folder) / "profile"
        if scenario in (CALL, CHUNK):
            with (
                gateway_backend.backend() as behind,
                daemon(ollama=behind.url, profile=seen) as oq,
                load() as callers,
            ):
                callers.do(_order(scenario, oq, count))
        elif scenario == STREAMS:
            with stamper() as backend, daemon(ollama=backend.url, profile=seen) as oq:
                trio.run(streams.read_tasks, oq.url, streams.STREAMS, count // streams.STREAMS)
        else:
            with daemon(profile=seen) as oq:
                trio.run(DAEMON[scenario], oq.url, count)
        return pstats.Stats(str(seen))


def _order(scenario: str, oq: Child, count: int) -> Order:
    """So many calls, or streams of so many chunks in all."""
    if scenario == CALL:
        calls = Target(oq.url, CHAT, call(CHAT), oq.pid)
        return Calls(calls, CONNECTIONS, PATIENCE, calls=count)
    each = count // CALLERS
    chunks = Target(oq.url, CHAT, stream(CHAT, each), oq.pid)
    rate = gateway_backend.RATE
    return Streams(chunks, CALLERS, rate, seconds=each / rate + CALLERS / 100, lead=0)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.profile",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = [*EMBEDDED, *DAEMON, STREAMS, CALL, CHUNK]
    parser.add_argument("scenario", nargs="?", default="bulk", choices=names)
    parser.add_argument(
        "--tasks", type=int, default=5_000, help="how many tasks, or chunks (5,000)"
    )
    parser.add_argument("--top", type=int, default=MOST, help=f"rows of the table ({MOST})")
    parser.add_argument(
        "--by", choices=["function", "module"], help="(function; module of call and chunk)"
    )
    options = parser.parse_args()
    least = LEAST.get(options.scenario, 1)
    if options.tasks < least:
        parser.error(f"--tasks: {options.scenario} takes {least} at least")
    if options.top < 1:
        parser.error("--top must be more than 0")
    found = profile(options.scenario, options.tasks)
    by = options.by or ("module" if options.scenario in (CALL, CHUNK) else "function")
    rows = modules(found, options.tasks) if by == "module" else entries(found, options.tasks)
    print(table(rows, options.top, by))
    return 0


if __name__ == "__main__":
    sys.exit(interruptible(main))

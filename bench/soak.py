"""Hours of work on a real server: does anything grow, or become slower?

    make soak                        an hour
    make soak ARGS="--minutes 15"    a quarter of an hour, for every night

`oq serve` runs in a process of its own, over RocksDB with all its syncs, with retention on, and
with an Ollama over HTTP that answers at once (`bench.stamper`). Users submit some hundred tasks a
second, follow, cancel, delay and fail some, call the drop-in API, subscribe and leave
(`bench.soak_load`). Another process looks at the server (`bench.probe`): memory, disk, open
descriptors, threads, and how quick it is.

The start is for warming up: a quarter of the run, and until RocksDB's buffers and the allocator
have had so many tasks that they stay as they are. After that a figure *grows* if its slope is above
zero beyond chance (`bench.trend`) and adds up to more than the figure may gain. The exit code is 1
if one grows, if the rate was too high for the machine, or if anything went wrong for a user.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import trio

from bench import report
from bench.children import Helper, helper, interruptible
from bench.probe import Sample
from bench.runner import say
from bench.soak_load import Users
from bench.stamper import stamper
from bench.trend import slope, sure_slope
from oq.cli.demo.children import Child, child

KEEP = 10_000
"""Ended tasks that the server keeps, read ones, unread ones, and ids of removed ones: retention is
part of what must not let anything grow, and has all it may have before growth is judged.
"""
WORKERS = 64
INTERVAL = 30.0
"""Seconds between two looks at the server; in a run below an hour less, for as many of them."""
SHORTEST_INTERVAL = 3.0
"""What a look takes, with room."""
WARM = 40_000
"""Tasks after which memory and disk are as they stay: the read cache is full, and some of RocksDB's
buffers have been filled, written to tables and merged by then.
"""
JUDGED = 15.0
"""Minutes from which on growth is judged, and a run is written down."""
FEWEST = 30
"""Samples, once warm, below which growth is not judged."""


class Figure(NamedTuple):
    """One of the figures of a `Sample`. Over a run it may gain the share of its median or `slack`,
    whichever is more: what is small comes and goes.
    """

    what: str
    unit: str
    share: float
    slack: float


FIGURES = {
    "memory": Figure("memory", "MB", 0.1, 8),
    "disk": Figure("disk", "MB", 0.1, 16),
    "descriptors": Figure("open descriptors", "", 0.1, 4),
    "threads": Figure("threads", "", 0.1, 2),
    "health": Figure("GET /healthz", "ms", 0.5, 2),
    "dispatch": Figure("submit to start, first in line", "ms", 0.5, 4),
    "waiting": Figure("tasks that wait for a slot", "", 1, 2000),
}

_decode = msgspec.json.Decoder(Sample).decode


@dataclass
class Soak:
    """What a run has shown: samples with their minute, and how the users fared."""

    samples: list[tuple[float, Sample]] = field(default_factory=list)
    warm: int = 0
    """The samples that were taken while the first `WARM` tasks came."""
    tasks: int = 0
    seconds: int = 0
    left_out: int = 0
    problems: dict[str, int] = field(default_factory=dict)

    @property
    def judged(self) -> bool:
        """Whether it was long enough to tell growth from a start."""
        return self.seconds >= JUDGED * 60 and len(self.samples) - self._start >= FEWEST

    @property
    def _start(self) -> int:
        """The first sample that counts."""
        return max(self.warm, len(self.samples) // 4)

    def points(self, name: str) -> list[tuple[float, float]]:
        """One figure over the minutes that count; over all of them, if none does."""
        judged = self.samples[self._start :] if self.judged else self.samples
        return [(minute, float(getattr(sample, name))) for minute, sample in judged]

    def gain(self, name: str) -> float:
        """What the slope of a figure adds up to from the first judged sample to the last."""
        points = self.points(name)
        return slope(points) * (points[-1][0] - points[0][0])

    def growing(self) -> list[str]:
        """What goes up beyond chance, and by more than it may."""
        return [
            f"{figure.what} grew by {self.gain(name):,.1f} {figure.unit}".rstrip()
            for name, figure in FIGURES.items()
            if self.gain(name) > self.may_gain(name) and sure_slope(self.points(name)) > 0
        ]

    def may_gain(self, name: str) -> float:
        figure, values = FIGURES[name], sorted(value for _, value in self.points(name))
        return max(values[len(values) // 2] * figure.share, figure.slack)

    def bytes_a_task(self) -> float:
        """Memory that each task leaves behind, by the slope."""
        minutes = self.seconds / 60
        return slope(self.points("memory")) * minutes * 2**20 / self.tasks if self.tasks else 0.0

    def failings(self) -> list[str]:
        """Why the run is no good; empty if it is."""
        found = self.growing() if self.judged else []
        if self.left_out > self.seconds / 2:
            found.append(
                f"the work of {self.left_out} of {self.seconds} s was left out, as the server had "
                "enough to do: try a lower --rate"
            )
        found += [f"{count} times: {problem}" for problem, count in self.problems.items()]
        return found


def run(minutes: float, rate: int) -> Soak:
    """Let users work on a server of their own for so long."""
    with tempfile.TemporaryDirectory(prefix="oq-soak-") as folder, stamper() as backend:
        data = Path(folder) / "data"
        with (
            _server(Path(folder), data, backend.url) as server,
            helper("bench.probe", server.url, str(server.pid), str(data)) as probe,
        ):
            return trio.run(_run, minutes, rate, server, probe)


@contextmanager
def _server(folder: Path, data: Path, backend: str) -> Iterator[Child]:
    """`oq serve` with retention on, that is stopped as a user stops it."""
    settings = folder / "config.yaml"
    config = {
        "queue": {
            "storage_path": str(data),
            "max_workers": WORKERS,
            "max_completed_tasks": KEEP,
            "max_unread_tasks": KEEP,
            "max_removed_ids": KEEP,
            "cleanup_interval": "10s",
        },
        "server": {"port": 0},
        "ollama": {"host": backend},
        "logging": {"level": "warning"},
    }
    settings.write_text(json.dumps(config))  # which is YAML too
    arguments = ["-m", "oq.cli", "serve", "--config", str(settings)]
    environ = {name: value for name, value in os.environ.items() if name != "OLLAMA_HOST"}
    with child("server", arguments, folder, environ) as started:
        yield started
        started.stop()


async def _run(minutes: float, rate: int, server: Child, probe: Helper) -> Soak:
    users, soak = Users(server.url, rate), Soak()
    interval = max(SHORTEST_INTERVAL, INTERVAL * min(1.0, minutes / 60))
    begun = trio.current_time()

    async def watch() -> None:
        while True:
            await trio.sleep(interval)
            sample = _decode(await trio.to_thread.run_sync(probe.ask))
            minute = (trio.current_time() - begun) / 60
            soak.samples.append((minute, sample))
            soak.warm += users.submitted < WARM
            say(f"minute {minute:.1f} of {minutes:g}: {_in_short(sample)}")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        await users.live(minutes * 60)
        nursery.cancel_scope.cancel()  # with nobody at work, the server's figures are others
    soak.tasks, soak.seconds, soak.left_out = users.submitted, users.seconds, users.left_out
    soak.problems = dict(users.problems)
    return soak


def _in_short(sample: Sample) -> str:
    return (
        f"{sample.memory:.0f} MB, disk {sample.disk:.0f} MB, {sample.descriptors} descriptors, "
        f"dispatch {sample.dispatch:.1f} ms, {sample.waiting} wait"
    )


def text(soak: Soak) -> str:
    """The verdict first, then what was measured, as Markdown."""
    head = (
        f"{soak.tasks:,} tasks in {soak.seconds / 60:.0f} minutes, "
        f"{soak.tasks / max(1, soak.seconds):,.0f} a second; in {soak.left_out} of "
        f"{soak.seconds} s the server had enough to do, and nothing was submitted."
    )
    verdict = _verdict(soak)
    if len(soak.samples) < 2:
        return f"{head}\n\n{verdict}\n"
    rows = ["| what | first | median | last | gain | may gain |", "|-|-|-|-|-|-|"]
    rows += [_row(soak, name) for name in FIGURES]
    left = f"Memory that a task leaves behind, by the slope: {soak.bytes_a_task():,.0f} bytes."
    return "\n".join([head, "", verdict, "", *rows, "", left]) + "\n"


def _verdict(soak: Soak) -> str:
    if failings := soak.failings():
        return "**Not flat.** " + "; ".join(failings)
    if soak.judged:
        return "**Flat.** Nothing grew."
    return (
        f"Nothing went wrong. Growth is not judged: that takes {JUDGED:g} minutes, and {FEWEST} "
        f"looks after the first {WARM:,} tasks."
    )


def _row(soak: Soak, name: str) -> str:
    points = soak.points(name)
    values = sorted(value for _, value in points)
    cells = [points[0][1], values[len(values) // 2], points[-1][1], soak.gain(name)]
    what = ", ".join(part for part in FIGURES[name][:2] if part)
    shown = " | ".join(f"{value:,.1f}" for value in cells)
    return f"| {what} | {shown} | {soak.may_gain(name):,.1f} |"


def save(soak: Soak, facts: dict[str, Any]) -> None:
    """Write the run down as soak.json, soak.md and soak.svg."""
    from bench import charts  # which takes a while, for what only draws

    report.RESULTS.mkdir(exist_ok=True)
    document = {
        "machine": facts,
        "tasks": soak.tasks,
        "seconds": soak.seconds,
        "left_out": soak.left_out,
        "problems": soak.problems,
        "samples": [
            {"minute": round(minute, 2)} | msgspec.structs.asdict(sample)
            for minute, sample in soak.samples
        ],
    }
    (report.RESULTS / "soak.json").write_text(json.dumps(document, indent=1) + "\n")
    told = ", ".join(f"{fact} {value}" for fact, value in facts.items())
    (report.RESULTS / "soak.md").write_text(
        f"# The last soak\n\n{told}\n\n{text(soak)}\n![soak](soak.svg)\n"
    )
    (report.RESULTS / "soak.svg").write_text(charts.soak_chart(_lines(soak)))


def _lines(soak: Soak) -> dict[str, Sequence[tuple[float, float]]]:
    """Each figure over all minutes, by what is written beside it."""
    return {
        ", ".join(part for part in figure[:2] if part): [
            (minute, float(getattr(sample, name))) for minute, sample in soak.samples
        ]
        for name, figure in FIGURES.items()
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.soak",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--minutes", type=float, default=60, help="how long it takes (60)")
    parser.add_argument("--rate", type=int, default=200, help="plain tasks a second (200)")
    options = parser.parse_args()
    if options.minutes <= 0 or options.rate < 1:
        parser.error("--minutes must be more than 0, and --rate at least 1")
    before = report.phase()
    soak = run(options.minutes, options.rate)
    print(text(soak))
    if options.minutes >= JUDGED:
        save(soak, report.machine() | report.during(before, report.phase()))
    else:
        print(f"Nothing is saved: that takes {JUDGED:g} minutes.", file=sys.stderr)
    return 1 if soak.failings() else 0


if __name__ == "__main__":
    sys.exit(interruptible(main))

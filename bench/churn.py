"""An hour of work on a mock clock: does anything grow that retention does not keep?

    make bench-churn                        500,000 tasks in an hour, which takes some minutes
    make bench-churn ARGS="--minutes 6"

Tasks come every second and most of them complete; some fail and are retried, some fail for good,
some are cancelled while they run, some get another priority. Each minute it looks at the memory and
the disk; after half of the time neither may grow any more. What is quick at the start (submit to
the backend's call, listing what is pending, opening the queue, the first pending row on disk) must
be so at the end: what was deleted leaves tombstones, and nothing may have to walk over them.

The store is RocksDB, whose syncs are left out: they block, and a mock clock does not wait for them.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import trio
from msgspec.structs import replace
from trio.testing import MockClock

from bench import report
from bench.children import interruptible
from bench.embedded import Ends, TimedBackend
from bench.figures import percentile
from bench.payload import submission
from bench.pending import resident
from oq.backends.base import Request
from oq.dialects.base import Emit
from oq.queue import Queue, open_queue
from oq.rules.filters import TaskFilter
from oq.store import KeyValueLedger, Store
from oq.store.rocks import RocksEngine
from oq.words.clock import Clock
from oq.words.config import Config, to_config
from oq.words.errors import BackendFailure, BackendRejected
from oq.words.outcome import Completed
from oq.words.task import Status

EPOCH = 1_800_000_000.0
PROBES = 50
GROWTH = 1.1
"""How much larger than ever in the second quarter something may be in the second half."""
SLOWER = 2.0
"""How much slower at the end than at the start something may be: these are single short moments."""
LEAK = 60.0
"""Bytes of memory that each task may leave behind, by the slope over the last three quarters."""
SOME_MB = 8.0
"""Below this a difference is the allocator's, or a log file's, and says nothing."""
SETTLED = 64.0
"""Seconds after which, by the clock of the queue, all that failed has been retried for good."""


@dataclass(frozen=True)
class Load:
    """`rate` tasks a second for so many minutes, of which the last `keep` that ended are kept."""

    minutes: int = 60
    rate: int = 140
    keep: int = 1000

    @property
    def tasks(self) -> int:
        """How many are submitted in all."""
        return self.minutes * 60 * self.rate


class Sample(NamedTuple):
    """What there is after so many minutes: megabytes, and numbers of objects and tasks."""

    minute: int
    memory: float
    disk: float
    objects: int
    ended: int


class Quick(NamedTuple):
    """What must be as quick at the end as at the start, in milliseconds."""

    start: float
    listing: float
    first_row: float
    opening: float


@dataclass(frozen=True)
class Outcome:
    """What an hour has shown."""

    samples: list[Sample]
    before: Quick
    after: Quick
    tasks: int

    def leak(self) -> float:
        """Bytes of memory for each task, by the slope of the last three quarters: the median of
        those of all pairs of minutes (Theil and Sen), for RocksDB's buffers go up and down.
        """
        minutes = self.samples[len(self.samples) // 4 :]
        slope = statistics.median(
            (later.memory - earlier.memory) / (later.minute - earlier.minute)
            for earlier, later in combinations(minutes, 2)
        )
        return slope * 2**20 / (self.tasks / len(self.samples))

    def growing(self) -> list[str]:
        """What has grown in the second half, beyond what it was in the quarter before; and memory
        that grows with every task.
        """
        half, quarter = len(self.samples) // 2, len(self.samples) // 4
        found = []
        leak = self.leak()
        if leak > LEAK and leak * self.tasks * 3 / 4 > SOME_MB * 2**20:
            found.append(f"memory: {leak:,.0f} bytes a task, where {LEAK:.0f} may be")
        for what in ("memory", "disk", "objects", "ended"):
            earlier = max(getattr(sample, what) for sample in self.samples[quarter:half])
            later = max(getattr(sample, what) for sample in self.samples[half:])
            slack = SOME_MB if what in ("memory", "disk") else 0.0
            if later > earlier * GROWTH + slack:
                found.append(f"{what}: {earlier:,.1f} -> {later:,.1f}")
        return found

    def slower(self) -> list[str]:
        """What takes longer than at the start."""
        return [
            f"{what}: {before:.2f} -> {after:.2f} ms"
            for what, before, after in zip(Quick._fields, self.before, self.after, strict=True)
            if after > before * SLOWER and what != "opening"
        ]


class Inline(RocksEngine):
    """RocksDB that is not synced, and so never leaves trio's thread."""

    sync_blocks = False

    def sync(self, commit: int) -> None:
        pass


class ChurnBackend(TimedBackend):
    """What it does with a task depends on its model: good, flaky, bad or endless."""

    def __init__(self) -> None:
        super().__init__()
        self._flaky = 0

    async def run(self, request: Request, emit: Emit) -> Completed:
        self.called = [time.perf_counter()]
        match request.model:
            case "endless":
                await trio.sleep_forever()
            case "bad":
                raise BackendRejected("this model takes nothing")
            case "flaky":
                self._flaky += 1
                if self._flaky % 2:
                    raise BackendFailure("this model fails every other time")
        emit(b'{"message":{"role":"assistant","content":"one "},"done":false}')
        await trio.sleep(0.02)
        emit(b'{"message":{"role":"assistant","content":"two"},"done":false}')
        return self._completed


def run(load: Load, directory: Path) -> Outcome:
    """Live through it. The data directory is left as it then is."""
    return trio.run(_run, load, directory, clock=MockClock(autojump_threshold=0))


async def _run(load: Load, directory: Path) -> Outcome:
    before = await _quickness(load, directory)
    samples: list[Sample] = []
    async with _queue(load, directory) as (queue, _):
        for minute in range(1, load.minutes + 1):
            for _ in range(60):
                await _second(queue, load.rate)
            samples.append(_sample(minute, queue, directory))
        await trio.sleep(SETTLED)
    return Outcome(samples, before, await _quickness(load, directory), load.tasks)


@asynccontextmanager
async def _queue(load: Load, directory: Path) -> AsyncIterator[tuple[Queue, ChurnBackend]]:
    backend, ledger = ChurnBackend(), KeyValueLedger(Inline(directory))
    async with open_queue(_config(load), backends=[backend], ledger=ledger, clock=clock()) as queue:
        yield queue, backend


def clock() -> Clock:
    """A wall clock that goes with the mock one."""
    return Clock(lambda: EPOCH + trio.current_time())


def _config(load: Load) -> Config:
    return to_config(
        {
            "queue": {
                "max_workers": 16,
                "max_completed_tasks": load.keep // 2,
                "max_unread_tasks": load.keep // 2,
                "cleanup_interval": "60s",
                "drain_timeout": "0s",
            },
            "events": {"ring": 1000},
        }
    )


async def _second(queue: Queue, rate: int) -> None:
    """A second's work: a batch, one that is cancelled as it runs, one that waits for its time and
    gets another priority meanwhile.
    """
    models = ["flaky"] * (rate // 50) + ["bad"] * (rate // 70)
    await queue.raw.submit_many([submission(model) for model in models])
    endless = await queue.raw.submit(submission("endless", priority="critical"))
    later = clock().now() + timedelta(seconds=5)
    delayed = await queue.raw.submit(replace(submission(), run_at=later))
    await queue.raw.submit_many([submission()] * (rate - len(models) - 2))
    await queue.set_priority(delayed.task_id, "low")
    await trio.sleep(0.5)
    await queue.cancel(endless.task_id)
    await trio.sleep(0.5)


def _sample(minute: int, queue: Queue, directory: Path) -> Sample:
    memory = resident()
    status = queue.status()
    return Sample(
        minute=minute,
        memory=memory,
        disk=sum(file.stat().st_size for file in directory.rglob("*") if file.is_file()) / 2**20,
        objects=len(gc.get_objects()),
        ended=status.completed_tasks + status.failed_tasks + status.cancelled_tasks,
    )


async def _quickness(load: Load, directory: Path) -> Quick:
    """Measured in an idle queue, and then with that many tasks pending in one that is opened."""
    wanted = TaskFilter(status=frozenset([Status.PENDING]), limit=PROBES)
    starts, listings = [], []
    async with _queue(load, directory) as (queue, backend):
        ends = Ends(queue)
        for number in range(1, PROBES + 1):
            begun = time.perf_counter()
            await queue.raw.submit(submission())
            await ends.wait(number)
            starts.append((backend.called[-1] - begun) * 1e3)
        await queue.pause()
        await queue.raw.submit_many([submission()] * PROBES)
        for _ in range(PROBES):
            begun = time.perf_counter()
            await queue.raw.list(wanted)
            listings.append((time.perf_counter() - begun) * 1e3)
    first_row = _first_row(directory)
    begun = time.perf_counter()
    async with _queue(load, directory) as (queue, backend):
        opening = (time.perf_counter() - begun) * 1e3
        ends = Ends(queue)
        await queue.resume()
        await ends.wait(PROBES)
    return Quick(percentile(starts, 0.5), percentile(listings, 0.5), first_row, opening)


def _first_row(directory: Path) -> float:
    """Milliseconds to the first pending task on disk, the least of a few looks: the first one also
    reads the table file.
    """
    engine, taken = Inline(directory), []
    store = Store(engine)
    for _ in range(PROBES):
        begun = time.perf_counter()
        next(store.pending())
        taken.append((time.perf_counter() - begun) * 1e3)
    store.close()
    return min(taken)


_FINE = """Nothing grew beyond its limit, and nothing that the queue does became slower. To open it
takes longer than when it was empty: there is a log to read."""


def text(outcome: Outcome) -> str:
    """The samples and the comparison, as Markdown."""
    step = max(1, len(outcome.samples) // 12)
    rows = ["| minute | memory, MB | disk, MB | objects | ended tasks kept |", "|-|-|-|-|-|"]
    rows += [
        f"| {one.minute} | {one.memory:.1f} | {one.disk:.1f} | {one.objects:,} | {one.ended:,} |"
        for one in outcome.samples[step - 1 :: step]
    ]
    rows += ["", "| ms | at the start | at the end |", "|-|-|-|"]
    names = ("submit to backend called", "list what is pending", "first pending row on disk")
    for what, name in zip(Quick._fields, (*names, "open the queue"), strict=True):
        before, after = getattr(outcome.before, what), getattr(outcome.after, what)
        rows.append(f"| {name} | {before:.3f} | {after:.3f} |")
    rows += ["", f"Memory: {outcome.leak():,.0f} bytes a task, of {LEAK:.0f} that may be."]
    verdict = [*outcome.growing(), *outcome.slower()]
    rows += ["", _FINE if not verdict else "; ".join(verdict)]
    return "\n".join(rows) + "\n"


def save(outcome: Outcome) -> None:
    """Write the run down as churn.json, churn.md and churn.svg."""
    from bench import charts  # which takes a while, for what only draws

    report.RESULTS.mkdir(exist_ok=True)
    facts = report.machine()
    document = {
        "machine": facts,
        "tasks": outcome.tasks,
        "samples": [sample._asdict() for sample in outcome.samples],
        "before": outcome.before._asdict(),
        "after": outcome.after._asdict(),
    }
    (report.RESULTS / "churn.json").write_text(json.dumps(document, indent=1) + "\n")
    told = ", ".join(f"{fact} {value}" for fact, value in facts.items())
    (report.RESULTS / "churn.md").write_text(
        f"# The last hour of churn\n\n{told}\n\n{text(outcome)}\n![churn](churn.svg)\n"
    )
    lines = {
        "memory": [(one.minute, one.memory) for one in outcome.samples],
        "disk": [(one.minute, one.disk) for one in outcome.samples],
    }
    (report.RESULTS / "churn.svg").write_text(charts.churn_chart(lines))


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.churn",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--minutes", type=int, default=Load.minutes, help="of the mock clock (60)")
    parser.add_argument("--rate", type=int, default=Load.rate, help="tasks a second (140)")
    options = parser.parse_args()
    if options.minutes < 4:
        parser.error("--minutes: it takes 4 to tell growth from a start")
    load = Load(options.minutes, options.rate)
    with tempfile.TemporaryDirectory(prefix="oq-churn-") as folder:
        outcome = run(load, Path(folder))
    print(text(outcome))
    if load == Load():
        save(outcome)
    return 1 if outcome.growing() or outcome.slower() else 0


if __name__ == "__main__":
    sys.exit(interruptible(main))

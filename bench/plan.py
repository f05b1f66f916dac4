"""Two models, of which one fits: how often is one loaded, and how long do tasks wait?

    make bench-plan ARGS="conv.csv code.csv"     two files of real traffic (`bench.traces`)
    make bench-plan                              those two of the folder OQ_TRACES
    make bench-plan ARGS="--chart waits.svg"     draw how long tasks waited, too

Each file is the traffic of one model. Both are run together, in virtual time, by the code of
`oq plan`: first in first out, without a queue, and with affinity and some bounds. A line beside
each bound says the fewest loads that any order within it can do with (`bench.fewest_loads`). The
figures are the same each time. It fails if affinity, as it is by default, needs more than 1.1 times
the fewest, if it passes a task over for too long, or if its p99 is not below that of fifo; or if
what waiting tasks are told of their start is wrong too often (`bench.estimates`; not for a short
trace, where too little can be learnt).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

from bench import estimates
from bench.columns import columns
from bench.fewest_loads import fewest_loads
from bench.options import two_traces_options
from bench.traces import read_requests, trace_file
from oq.plan.figures import Figures, figures
from oq.plan.machine import Asked, Call
from oq.plan.orders import parse_order
from oq.plan.rates import Rates, asked
from oq.plan.replay import replay
from oq.plan.servers import alike
from oq.plan.trace import Ran
from oq.words.durations import format_duration
from oq.words.task import Priority, Status, TaskType

FILES = ("azure-2023-conv.csv", "azure-2023-code.csv")
DEFAULT = "affinity"
ORDERS = ("fifo", "ollama", DEFAULT, *(f"affinity,max_bypass={s}s" for s in (10, 60, 120)))
WORST_RATIO = 1.1
POINTS = 200
"""Waits that a chart has of each order."""
COLUMNS = (
    "policy", "loads", "fewest", "ratio", "p50", "p95", "p99", "longest", "all done",
    "passed over",
)  # fmt: skip


class Result(NamedTuple):
    """What came of one order; `fewest` is of the orders within the same bound."""

    found: Figures
    fewest: int | None
    at_once: int
    waits: list[float]
    """In order, at ranks that are evenly apart."""

    @property
    def ratio(self) -> float | None:
        return self.found.loads / self.fewest if self.fewest else None


def two_files(named: Sequence[Path]) -> list[Path]:
    """The traces that are named, or those of OQ_TRACES. ValueError unless there are two."""
    files = [*named] or [path for name in FILES if (path := trace_file(name)) is not None]
    if len(files) != 2:
        raise ValueError(f"name two files, or a folder OQ_TRACES that has {' and '.join(FILES)}")
    return files


def read_tasks(files: Sequence[Path], rates: Rates) -> list[Asked]:
    """The requests of both files, each file a model of its own."""
    trace = [
        Ran(
            created_at=sent.at, model=file.stem, type=TaskType.CHAT, priority=Priority.NORMAL,
            status=Status.COMPLETED, prompt_tokens=sent.prompt_tokens,
            completion_tokens=sent.tokens,
        )
        for file in files
        for sent in read_requests(file)
    ]  # fmt: skip
    return asked(trace, {f"{file.stem}:latest": rates for file in files})


def measure(tasks: Sequence[Asked], rates: Rates, slots: int) -> list[Result]:
    """All orders, on one server that holds one model."""
    models = {task.model: rates for task in tasks}
    results = []
    for text in ORDERS:
        order = parse_order(text)
        replayed = replay(tasks, order, alike(slots=slots), models)
        bounded = order.name == "affinity"
        most = order.settings.max_bypass
        fewest = fewest_loads(tasks, rates.load, most) if bounded else None
        waits = sorted(call.waited for call in replayed.calls)[:: max(1, len(tasks) // POINTS)]
        at_once = most_at_once(replayed.calls)
        results.append(Result(figures(replayed), fewest, at_once, waits))
    return results


def most_at_once(calls: Sequence[Call]) -> int:
    """The most calls that ran at one time."""
    changes = [(call.began, 1) for call in calls] + [(call.ended, -1) for call in calls]
    return max(accumulate(change for _, change in sorted(changes)))


def failures(results: Sequence[Result], slots: int) -> list[str]:
    """What is not as it has to be."""
    by_name = {each.found.policy: each for each in results}
    fifo, affinity = by_name["fifo"].found, by_name[DEFAULT]
    found, ratio = affinity.found, affinity.ratio
    wrong = [
        f"{each.found.policy} passed over {each.found.passed_over} tasks for too long"
        for each in results
        if each.found.passed_over
    ]
    if affinity.at_once >= slots:
        wrong.append(f"all {slots} slots were in use: the fewest loads are not known (--slots)")
    elif ratio is None or ratio > WORST_RATIO:
        wrong.append(f"affinity loads {ratio:.3f} times as often as must be: over {WORST_RATIO}")
    if found.waits.p99 >= fifo.waits.p99:
        wrong.append(f"affinity's p99 of {found.waits.p99:.1f} s is not below fifo's")
    return wrong


def table(results: Sequence[Result]) -> str:
    return columns([COLUMNS, *map(_row, results)])


def _row(result: Result) -> tuple[str, ...]:
    found, waits = result.found, result.found.waits
    times = (waits.p50, waits.p95, waits.p99, waits.worst, found.makespan)
    return (
        found.policy,
        f"{found.loads:,}",
        "-" if result.fewest is None else f"{result.fewest:,}",
        "-" if result.ratio is None else f"{result.ratio:.3f}",
        *map(format_duration, times),
        "no promise" if found.passed_over is None else str(found.passed_over),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    options = two_traces_options(arguments, "bench.plan", __doc__, 1024)
    rates = Rates(options.prompt_rate, options.rate, options.load)
    try:
        files = two_files(options.files)
        tasks = read_tasks(files, rates)
    except (OSError, ValueError) as error:
        print(error)
        return 2
    results = measure(tasks, rates, options.slots)
    print(
        f"{len(tasks):,} requests of {format_duration(tasks[-1].at)}, for {files[0].stem} and"
        f" {files[1].stem}. One server, one model in memory, {rates.load:g} s to load one,"
        f" {options.slots} slots, of which {results[2].at_once} are in use at most; a call has"
        f" {rates.prompt:,.0f} prompt tokens/s and {rates.generated:,.0f} generated tokens/s.\n"
    )
    print(table(results))
    if options.chart:
        from bench.charts import waits_chart  # matplotlib takes a while

        lines = {each.found.policy: each.waits for each in results}
        options.chart.write_text(waits_chart(lines, len(tasks)))
    wrong = failures(results, options.slots)
    if len(tasks) >= estimates.ENOUGH:
        conv, code = (read_tasks([file], rates) for file in files)
        wrong += estimates.report(conv, code, tasks, rates)
    print("\n" + ("\n".join(f"FAILED: {each}" for each in wrong) or "as it has to be"))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

"""Two models on two servers that hold one each: how long do tasks wait?

    make bench-boxes ARGS="conv.csv code.csv"      two files of real traffic (`bench.traces`)
    make bench-boxes                               those two of the folder OQ_TRACES
    make bench-boxes ARGS="--chart boxes.svg"      draw how long tasks waited, too

Each file is the traffic of one model, and both are run together, as in `bench.plan`. At some times
one of the models is wanted more than one server can do. First in, first out, its tasks then drive
the other model out. It fails unless affinity loads models less often than that, has a shorter p99
than it and than the servers without a queue, and passes no task over for longer than it may.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NamedTuple

from bench.columns import columns
from bench.options import two_traces_options
from bench.plan import POINTS, read_tasks, two_files
from oq.plan.figures import Figures, figures
from oq.plan.machine import Asked
from oq.plan.orders import parse_order
from oq.plan.rates import Rates
from oq.plan.replay import replay
from oq.plan.servers import alike
from oq.words.durations import format_duration

ORDERS = ("fifo", "ollama", "affinity")
BOXES = 2
COLUMNS = ("policy", "loads", "p50", "p95", "p99", "longest", "all done", "tokens/s")


class Result(NamedTuple):
    """What came of one order; `waits` are some of them, at ranks that are evenly apart."""

    found: Figures
    waits: list[float]


def measure(tasks: Sequence[Asked], rates: Rates, slots: int) -> list[Result]:
    """All orders, in turn."""
    models = {task.model: rates for task in tasks}
    results = []
    for text in ORDERS:
        replayed = replay(tasks, parse_order(text), alike(BOXES, slots), models)
        waits = sorted(call.waited for call in replayed.calls)[:: max(1, len(tasks) // POINTS)]
        results.append(Result(figures(replayed), waits))
    return results


def failures(results: Sequence[Result]) -> list[str]:
    """What is not as it has to be."""
    fifo, ollama, affinity = (each.found for each in results)
    wrong = [
        f"affinity's p99 of {affinity.waits.p99:.1f} s is not below that of {other.policy}"
        for other in (fifo, ollama)
        if affinity.waits.p99 >= other.waits.p99
    ]
    if affinity.loads >= fifo.loads:
        wrong.append(f"affinity loads {affinity.loads} times, fifo {fifo.loads} times")
    if affinity.passed_over:
        wrong.append(f"affinity passed over {affinity.passed_over} tasks for too long")
    return wrong


def _row(found: Figures) -> tuple[str, ...]:
    waits = found.waits
    times = (waits.p50, waits.p95, waits.p99, waits.worst, found.makespan)
    tokens = f"{found.tokens_per_second:,.0f}"
    return found.policy, f"{found.loads:,}", *map(format_duration, times), tokens


def main(arguments: Sequence[str] | None = None) -> int:
    options = two_traces_options(arguments, "bench.boxes", __doc__, 32)
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
        f" {files[1].stem}. {BOXES} servers, each with one model in memory and {options.slots}"
        f" slots, {rates.load:g} s to load one; a call has {rates.prompt:,.0f} prompt tokens/s and"
        f" {rates.generated:,.0f} generated tokens/s.\n"
    )
    print(columns([COLUMNS, *(_row(each.found) for each in results)]))
    if options.chart:
        from bench.charts import waits_chart  # matplotlib takes a while

        lines = {each.found.policy: each.waits for each in results}
        options.chart.write_text(waits_chart(lines, len(tasks)))
    wrong = failures(results)
    print("\n" + ("\n".join(f"FAILED: {each}" for each in wrong) or "as it has to be"))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

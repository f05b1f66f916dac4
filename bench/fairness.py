"""One tenant floods a server, one has a task now and then: what does each get, and who waits?

    make bench-fairness ARGS=conv.csv               a file of real traffic (`bench.traces`)
    make bench-fairness                             that of a chat service in the folder OQ_TRACES
    make bench-fairness ARGS="--chart service.svg"  draw the service of both over time, too

After the figures of Sheng et al., "Fairness in Serving Large Language Models", OSDI 2024 (arXiv
2401.00588), in virtual time, by the code of `oq plan`. One server with one model works on some
calls at once, far fewer than the traffic needs. Each request is of the tenant `trickle` with a
chance of 1 in 20, else of `flood`, by a fixed seed. Then each is of one of two tenants that both
want more than there is, `heavy` with the weight 2 and `light` with 1, drawn evenly. The figures
are the same each time.

It fails if two promises of the fairness do not hold:

- **The bound.** While both tenants have a task that waits, the service of one, over its weight, is
  never ahead of the other's by more than 2 (n U + Q): n calls at once, U the cost of the largest
  request (over the smaller weight), Q the quantum. Why: a tenant's counter has the costs of its
  tasks that have ended, and what is expected of those that run. Of a task that runs, the counter
  is wrong by U at most, whatever of it has been done. A tenant's task starts when its counter is
  at most Q above the other's. With the n - 1 calls that run then, and the one that starts, its
  service is, until its next start, at most n U + Q ahead. That is so for either of the two, so
  between any two times the difference changes by at most twice that. (The paper's 2 U has, for n
  calls, the tokens that fit into the memory of the batch: ours does not know them.)
- **The trickle is unharmed.** The 95 % quantile of its waits is at most 10 % above what it is with
  the server for itself, plus one residual service: the mean time for which a call that runs when a
  task of the trickle comes goes on. No queue can do without it, for what runs is not broken off.
"""

from __future__ import annotations

import sys
from bisect import bisect_right
from collections.abc import Sequence
from math import ceil
from pathlib import Path
from random import Random
from typing import NamedTuple

from msgspec.structs import replace

from bench.columns import columns
from bench.options import trace_options
from bench.service import Apart, apart, cost, service
from bench.traces import read_requests, trace_file
from oq.plan.figures import Figures, figures
from oq.plan.machine import Asked, Call
from oq.plan.orders import Order, parse_order
from oq.plan.rates import Rates, asked
from oq.plan.replay import replay
from oq.plan.servers import alike
from oq.plan.trace import Ran
from oq.rules.shares import EXPECTED
from oq.words.durations import format_duration
from oq.words.task import Priority, Status, TaskType

FILE = "azure-2023-conv.csv"
MODEL = "chat"
FLOOD, TRICKLE = "flood", "trickle"
ONE_IN = 20
"""Of so many requests one is of the trickle."""
HEAVY, LIGHT = "heavy", "light"
SEED = 2024
ORDERS = ("fifo", "ollama", "affinity", "fifo,fairness=true", "affinity,fairness=true")
WEIGHTED = ("fifo", "fifo,fairness=true,weight=heavy:2")
HARMED = 1.1
Lines = dict[str, list[tuple[float, float]]]
"""For each tenant the minutes, and the service a second in them."""
COLUMNS = (
    "policy", "most apart", "bound", "trickle p50", "p95", "longest", "flood p95", "all done",
    "tokens/s",
)  # fmt: skip
WEIGHTED_COLUMNS = ("policy", "most apart", "bound", "heavy : light", "both wait for", "tokens/s")


class Result(NamedTuple):
    """What came of one order. `residual` is for how many seconds a call goes on that runs when a
    task of the trickle comes, on average.
    """

    order: Order
    found: Figures
    apart: Apart
    bound: float
    residual: float
    calls: list[Call]

    @property
    def fair(self) -> bool:
        return self.order.fairness.enabled


def read_tasks(
    file: Path, rates: Rates, tenants: dict[str, float], seed: int = SEED
) -> list[Asked]:
    """The requests of a file, each of a tenant that is drawn: with these chances."""
    draw = Random(seed)
    trace = [
        Ran(
            created_at=sent.at, model=MODEL, type=TaskType.CHAT, priority=Priority.NORMAL,
            status=Status.COMPLETED, prompt_tokens=sent.prompt_tokens,
            completion_tokens=sent.tokens,
            tenant=draw.choices(list(tenants), list(tenants.values()))[0],
        )
        for sent in read_requests(file)
    ]  # fmt: skip
    return asked(trace, {f"{MODEL}:latest": rates})


def only(tasks: Sequence[Asked], tenant: str) -> list[Asked]:
    """The tasks of one tenant, as if nobody else had any."""
    own = (task for task in tasks if task.tenant == tenant)
    return [replace(task, number=number) for number, task in enumerate(own)]


def run(
    tasks: Sequence[Asked], text: str, rates: Rates, slots: int, tenants: tuple[str, str]
) -> Result:
    """Replay one order on one server that holds the one model."""
    order = parse_order(text)
    replayed = replay(tasks, order, alike(slots=slots), {f"{MODEL}:latest": rates})
    weights = {one.tenant: one.weight for one in order.fairness.weights}
    pair = weights.get(tenants[0], 1.0), weights.get(tenants[1], 1.0)
    largest = max(EXPECTED, *(float(cost(task)) for task in tasks)) / min(pair)
    return Result(
        order=order,
        found=figures(replayed),
        apart=apart(replayed.calls, tenants, pair),
        bound=2 * (slots * largest + order.fairness.quantum),
        residual=mean_residual(replayed.calls, tenants[1]),
        calls=replayed.calls,
    )


def mean_residual(calls: Sequence[Call], tenant: str) -> float:
    """For how long a call goes on that runs when a task of the tenant comes, on average."""
    began = sorted(calls, key=lambda call: call.began)
    starts = [call.began for call in began]
    longest = max(call.ended - call.began for call in calls)
    rests: list[float] = []
    for task in (call.asked for call in calls if call.asked.tenant == tenant):
        first, last = bisect_right(starts, task.at - longest), bisect_right(starts, task.at)
        rests += [call.ended - task.at for call in began[first:last] if call.ended > task.at]
    return sum(rests) / len(rests) if rests else 0.0


def failures(results: Sequence[Result], alone: Figures) -> list[str]:
    """Which promises do not hold."""
    wrong: list[str] = []
    for each in results:
        if not each.fair:
            continue
        name = each.found.policy
        if each.apart.most > each.bound:
            wrong.append(f"{name}: {each.apart.most:,.0f} apart, over the bound {each.bound:,.0f}")
        waits = each.found.by_tenant.get(TRICKLE)
        may = HARMED * alone.waits.p95 + each.residual
        if waits is not None and waits.p95 > may:
            wrong.append(f"{name}: the trickle's p95 is {waits.p95:.2f} s, over {may:.2f} s")
    return wrong


def table(results: Sequence[Result], alone: Figures) -> str:
    rows: list[Sequence[str]] = [COLUMNS, *(_row(each) for each in results)]
    waits = map(format_duration, (alone.waits.p50, alone.waits.p95, alone.waits.worst))
    rows.append(("trickle alone", "-", "-", *waits, "-", "-", f"{alone.tokens_per_second:,.0f}"))
    return columns(rows)


def _row(result: Result) -> tuple[str, ...]:
    trickle, flood = (result.found.by_tenant[name] for name in (TRICKLE, FLOOD))
    times = (trickle.p50, trickle.p95, trickle.worst, flood.p95, result.found.makespan)
    return (*_apart(result), *map(format_duration, times), _speed(result))


def _weighted_row(result: Result) -> tuple[str, ...]:
    heavy, light = result.apart.given
    ratio = f"{heavy / light:.3f}" if light else "-"
    return (*_apart(result), ratio, format_duration(result.apart.seconds), _speed(result))


def _apart(result: Result) -> tuple[str, str, str]:
    bound = f"{result.bound:,.0f}" if result.fair else "no promise"
    return result.found.policy, f"{result.apart.most:,.0f}", bound


def _speed(result: Result) -> str:
    return f"{result.found.tokens_per_second:,.0f}"


def main(arguments: Sequence[str] | None = None) -> int:
    options = trace_options(arguments, "bench.fairness", __doc__, SEED, "the service")
    file = options.file or trace_file(FILE)
    if file is None:
        print(f"name a file, or a folder OQ_TRACES that has {FILE}")
        return 2
    rates = Rates(options.prompt_rate, options.rate, load=0.0)
    try:
        tasks = read_tasks(file, rates, {TRICKLE: 1, FLOOD: ONE_IN - 1}, options.seed)
        halves = read_tasks(file, rates, {HEAVY: 1, LIGHT: 1}, options.seed)
    except (OSError, ValueError) as error:
        print(error)
        return 2
    slots: int = options.slots
    box, models = alike(slots=slots), {f"{MODEL}:latest": rates}
    alone = figures(replay(only(tasks, TRICKLE), parse_order("fifo"), box, models))
    results = [run(tasks, text, rates, slots, (FLOOD, TRICKLE)) for text in ORDERS]
    weighted = [run(halves, text, rates, slots, (HEAVY, LIGHT)) for text in WEIGHTED]
    print(_said(tasks, rates, slots))
    print(table(results, alone))
    residual = next(each.residual for each in results if each.fair)
    print(f"\nOne residual service is {format_duration(residual)}.\n")
    print("Two tenants that both want more than there is, with weights 2 and 1:\n")
    print(columns([WEIGHTED_COLUMNS, *map(_weighted_row, weighted)]))
    if options.chart:
        options.chart.write_text(chart(results, weighted))
    wrong = failures([*results, *weighted], alone)
    print("\n" + ("\n".join(f"FAILED: {each}" for each in wrong) or "as it has to be"))
    return 1 if wrong else 0


def _said(tasks: Sequence[Asked], rates: Rates, slots: int) -> str:
    works = sum(task.reads + task.writes for task in tasks)
    return (
        f"{len(tasks):,} requests of {format_duration(tasks[-1].at)}, one in {ONE_IN} of the"
        f" trickle. One server with one model and {slots} slots, of which"
        f" {works / tasks[-1].at:.0f} would be needed; a call has {rates.prompt:,.0f} prompt"
        f" tokens/s and {rates.generated:,.0f} generated tokens/s. Service is in weighted tokens.\n"
    )


def chart(results: Sequence[Result], weighted: Sequence[Result]) -> str:
    """Service over time, first in first out and with fairness."""
    from bench.order_charts import service_chart  # matplotlib takes a while

    by_name = {each.order.text: each for each in results}
    panels: dict[str, Lines] = {}
    for text, title in (("fifo", "First in, first out"), ("fifo,fairness=true", "With fairness")):
        panels[title] = _lines(by_name[text], (FLOOD, TRICKLE))
    panels["Weights 2 and 1, both want more"] = _lines(weighted[-1], (HEAVY, LIGHT))
    return service_chart(panels)


def _lines(result: Result, tenants: tuple[str, str]) -> Lines:
    minutes = ceil(result.found.makespan / 60)
    return {
        tenant: service(
            [call for call in result.calls if call.asked.tenant == tenant]
        ).by_the_minute(minutes)
        for tenant in tenants
    }


if __name__ == "__main__":
    sys.exit(main())

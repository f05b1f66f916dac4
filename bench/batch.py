"""People use a server now and then, a batch waits all the time: which settings serve both?

    make bench-batch ARGS=conv.csv              a file of real traffic (`bench.traces`)
    make bench-batch                            that of a chat service in the folder OQ_TRACES
    make bench-batch ARGS="--chart batch.svg"   draw what each setting brings, too

In virtual time, by the code of `oq plan`, on one server with one model. The interactive tasks are
critical. They are a part of the trace: of its spells of two minutes each is kept with a chance of a
half, and of the requests in these one in 8, both drawn with a fixed seed. So there are gaps between
the spells, and free slots inside them. The batch is there at the start, with priority 0: requests
drawn from the same trace, so many that they take nine tenths of what is free. The figures are the
same each time.

**Alone in the gaps.** The interactive tasks run alone first. What they leave of the slots at each
time is what the batch could have without harm to anybody. It is done at the earliest when all that
is left until then adds up to the time that its tasks take: as if a task could be cut in pieces, and
run on several slots at once, which no order can do. Its tokens over that time are the tokens/s
alone in the gaps. An order that makes interactive tasks wait can have more than that.

**Interactive tasks** are measured by the 95 % quantile of the time until their first token, beside
that with the server for themselves. Their waits would be no measure: alone they are mostly 0. Those
count that came until the batch is done alone in the gaps: later ones may meet no batch any more.

It fails if the setting that the documents recommend for this (`RECOMMENDED`) gives the batch less
than 90 % of what it has alone in the gaps, or interactive tasks a quantile that is over 10 %
longer. A task that is broken off stops at once, or at the end of a batch of its prompt
(`oq.plan.machine`). Real servers that were measured take up to half a second.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from math import ceil
from pathlib import Path
from random import Random
from typing import NamedTuple

from msgspec.structs import replace

from bench.columns import columns
from bench.options import trace_options
from bench.traces import Sent, read_requests, trace_file
from oq.plan.machine import Asked, Call
from oq.plan.orders import parse_order
from oq.plan.rates import Rates, asked
from oq.plan.replay import replay
from oq.plan.servers import alike
from oq.plan.trace import Ran
from oq.rules.reserve import IDLE
from oq.words.durations import format_duration
from oq.words.task import Priority, Status, TaskType

FILE = "azure-2023-conv.csv"
MODEL = "chat"
SPELL = 120.0
SPELLS = 0.5
ONE_IN = 8
FILLS = 0.9
SEED = 2023
RECOMMENDED = "fifo,preempt=true,max_preemptions=10"
ORDERS = {
    "plain": "no priorities",
    "fifo": "priorities only",
    "fifo,reserve=critical:1": "reserve 1",
    "fifo,reserve=critical:2": "reserve 2",
    "fifo,idle_after=5s": "idle_after 5 s",
    "fifo,preempt=true": "preempt",
    RECOMMENDED: "preempt, up to 10 times",
    "fifo,preempt=true,reserve=critical:1": "preempt, reserve 1",
    "fifo,preempt=true,idle_after=5s": "preempt, idle_after 5 s",
}
"""The settings, each with a name for people."""
LEAST, MOST = 0.9, 1.1
COLUMNS = (
    "setting", "first token p50", "p95", "of alone", "longest", "batch tokens/s", "of alone",
    "done in", "broken off",
)  # fmt: skip


class Firsts(NamedTuple):
    """How long interactive tasks wait for their first token, in seconds."""

    p50: float
    p95: float
    longest: float


class Result(NamedTuple):
    """What came of one setting; `took` is how long it took until the batch was done."""

    policy: str
    firsts: Firsts
    took: float
    broken_off: int


class Alone(NamedTuple):
    """What each side has without the other; `tokens` are those of the batch."""

    firsts: Firsts
    took: float
    tokens: int

    def longer(self, result: Result) -> float:
        """How many times as long the first token of interactive tasks takes."""
        return result.firsts.p95 / self.firsts.p95

    def share(self, result: Result) -> float:
        """The throughput of the batch as a share of that alone in the gaps."""
        return self.took / result.took


# -- the tasks


def thinned(requests: Sequence[Sent], draw: Random) -> list[Sent]:
    """Some requests of some spells; ValueError if none is left."""
    kept: dict[int, bool] = {}
    left: list[Sent] = []
    for sent in requests:
        spell = int((sent.at - requests[0].at).total_seconds() / SPELL)
        if spell not in kept:
            kept[spell] = draw.random() < SPELLS
        if kept[spell] and draw.random() * ONE_IN < 1:
            left.append(sent)
    if not left:
        raise ValueError(f"of {len(requests)} requests none is left: give a longer trace")
    return left


def read_tasks(file: Path, rates: Rates, slots: int, seed: int = SEED) -> list[Asked]:
    """The interactive tasks and the batch, in one line. ValueError if nothing is free for it."""
    draw = Random(seed)
    requests = read_requests(file)
    start = requests[0].at if requests else datetime.min
    people = _tasks(thinned(requests, draw), Priority.CRITICAL)
    free = slots * (requests[-1].at - start).total_seconds() - sum(map(work, line(people, rates)))
    if free <= 0:
        raise ValueError(f"interactive tasks need all of {slots} slots: give more (--slots)")
    batch: list[Sent] = []
    takes = 0.0
    while takes < FILLS * free:
        drawn = draw.choice(requests)
        batch.append(drawn._replace(at=start))
        takes += drawn.prompt_tokens / rates.prompt + drawn.tokens / rates.generated
    return line(_tasks(batch, IDLE) + people, rates)


def _tasks(requests: Sequence[Sent], priority: int) -> list[Ran]:
    return [
        Ran(
            created_at=sent.at, model=MODEL, type=TaskType.CHAT, priority=priority,
            status=Status.COMPLETED, prompt_tokens=sent.prompt_tokens,
            completion_tokens=sent.tokens,
        )
        for sent in requests
    ]  # fmt: skip


def line(trace: Sequence[Ran], rates: Rates) -> list[Asked]:
    return asked(trace, {f"{MODEL}:latest": rates})


def work(task: Asked) -> float:
    """Seconds of a slot."""
    return task.reads + task.writes


# -- what is measured


def measure_alone(tasks: Sequence[Asked], slots: int, rates: Rates) -> Alone:
    """Both sides, each without the other."""
    people = [task for task in tasks if task.priority > IDLE]
    batch = [task for task in tasks if task.priority == IDLE]
    numbered = [replace(task, number=number) for number, task in enumerate(people)]
    models = {f"{MODEL}:latest": rates}
    calls = replay(numbered, parse_order("fifo"), alike(slots=slots), models).calls
    took = done_in_gaps(calls, slots, sum(map(work, batch)))
    return Alone(_firsts(calls, took), took, sum(task.tokens for task in batch))


def done_in_gaps(calls: Sequence[Call], slots: int, needs: float) -> float:
    """When the slots that these calls leave free add up to so many seconds."""
    changes: defaultdict[float, int] = defaultdict(int)
    for call in calls:
        changes[call.began] -= 1
        changes[call.ended] += 1
    now, free = 0.0, slots
    for time in sorted(changes):
        if (time - now) * free >= needs:
            break
        needs -= (time - now) * free
        now, free = time, free + changes[time]
    return now + needs / free


def measure(tasks: Sequence[Asked], policy: str, slots: int, rates: Rates, until: float) -> Result:
    """Both sides with one setting; of the interactive tasks those that came until then."""
    models = {f"{MODEL}:latest": rates}
    calls = replay(tasks, parse_order(policy), alike(slots=slots), models).calls
    batch = [call for call in calls if call.asked.priority == IDLE]
    return Result(
        policy=policy,
        firsts=_firsts([call for call in calls if call.asked.priority > IDLE], until),
        took=max(call.ended for call in batch),
        broken_off=sum(call.broken_off for call in batch),
    )


def _firsts(calls: Sequence[Call], until: float) -> Firsts:
    ranked = sorted(call.waited + call.asked.reads for call in calls if call.asked.at <= until)
    p50, p95 = (ranked[ceil(share * len(ranked)) - 1] for share in (0.5, 0.95))
    return Firsts(p50, p95, ranked[-1])


def failures(results: Sequence[Result], alone: Alone) -> list[str]:
    """What the setting that is recommended does not reach."""
    best = next(each for each in results if each.policy == RECOMMENDED)
    wrong: list[str] = []
    if alone.share(best) < LEAST:
        wrong.append(f"{best.policy}: the batch has {alone.share(best):.1%} of alone in the gaps")
    if alone.longer(best) > MOST:
        wrong.append(f"{best.policy}: first tokens take {alone.longer(best):.2f} times as long")
    return wrong


# -- what is shown


def table(results: Sequence[Result], alone: Alone) -> str:
    rows: list[Sequence[str]] = [COLUMNS]
    rows += [
        (
            each.policy, *_shown(each.firsts, alone.longer(each)),
            f"{alone.tokens / each.took:,.0f}", f"{alone.share(each):.1%}",
            format_duration(each.took), f"{each.broken_off:,}",
        )
        for each in results
    ]  # fmt: skip
    tokens = f"{alone.tokens / alone.took:,.0f}"
    rows.append(
        ("each alone", *_shown(alone.firsts, 1), tokens, "100.0%", format_duration(alone.took), "-")
    )
    return columns(rows)


def _shown(firsts: Firsts, longer: float) -> tuple[str, ...]:
    p50, p95, longest = map(format_duration, firsts)
    return p50, p95, f"{longer:.2f}", longest


def main(arguments: Sequence[str] | None = None) -> int:
    options = trace_options(arguments, "bench.batch", __doc__, SEED, "it")
    file = options.file or trace_file(FILE)
    if file is None:
        print(f"name a file, or a folder OQ_TRACES that has {FILE}")
        return 2
    rates = Rates(options.prompt_rate, options.rate, load=0.0)
    slots: int = options.slots
    try:
        tasks = read_tasks(file, rates, slots, options.seed)
    except (OSError, ValueError) as error:
        print(error)
        return 2
    alone = measure_alone(tasks, slots, rates)
    results = [measure(tasks, policy, slots, rates, alone.took) for policy in ORDERS]
    print(_said(tasks, rates, slots))
    print(table(results, alone))
    if options.chart:
        from bench.order_charts import batch_chart  # matplotlib takes a while

        bars = {ORDERS[each.policy]: (alone.longer(each), alone.share(each)) for each in results}
        options.chart.write_text(batch_chart(bars, MOST, LEAST))
    wrong = failures(results, alone)
    print("\n" + ("\n".join(f"FAILED: {each}" for each in wrong) or "as it has to be"))
    return 1 if wrong else 0


def _said(tasks: Sequence[Asked], rates: Rates, slots: int) -> str:
    people = [task for task in tasks if task.priority > IDLE]
    last = people[-1].at
    return (
        f"{len(people):,} interactive tasks in {format_duration(last)}, which use"
        f" {sum(map(work, people)) / last:.1f} of {slots} slots; {len(tasks) - len(people):,} tasks"
        f" of a batch, which are there at the start. A call has {rates.prompt:,.0f} prompt tokens/s"
        f" and {rates.generated:,.0f} generated tokens/s.\n"
    )


if __name__ == "__main__":
    sys.exit(main())

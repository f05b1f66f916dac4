"""A server of one's own that is a little too small, and a cloud: how long do tasks wait, and how
many go to the cloud?

    make bench-overflow ARGS=conv.csv               a file of real traffic (`bench.traces`)
    make bench-overflow                             that of a chat service in the folder OQ_TRACES;
                                                    where there is none, made-up traffic
    make bench-overflow ARGS="--chart over.svg"     draw it, too

In virtual time, by the code of `oq plan`, with the backends of `SETTINGS`, which docs/scheduling.md
shows. First the box works alone, then with the cloud, with one value of `overflow_after` after the
other. The figures are the same each time.

It fails if the setting does not do what it says. Where 99 % of the tasks wait for longer than
`overflow_after` before the box alone, they wait for at most half as long again as that with the
cloud: a task goes up by what its wait is expected to be, and that is not known exactly. And with a
shorter one no fewer tasks go to the cloud. The cloud has to be large enough (`--cloud-slots`).
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from msgspec.structs import replace

from bench.columns import columns
from bench.options import count, rate, trace_parser
from bench.traces import Sent, made_up, read_requests, trace_file
from oq.plan.figures import Figures, Served, figures
from oq.plan.machine import Asked
from oq.plan.orders import parse_order
from oq.plan.rates import Rates, asked
from oq.plan.replay import replay
from oq.plan.servers import Setup, setup_of
from oq.plan.trace import Ran
from oq.words.config import to_config
from oq.words.durations import format_duration
from oq.words.task import Priority, Status, TaskType

FILE = "azure-2023-conv.csv"
MODEL = "llama3.2"
SEED = 2026
SLOTS, CLOUD_SLOTS = 22, 8
BOX, CLOUD = "box", "cloud"
SETTINGS: Mapping[str, Any] = {
    "backends": [
        {"name": BOX, "kind": "ollama", "url": "http://box:11434", "max_models": 1},
        {
            "name": CLOUD, "kind": "openai", "url": "https://api.example.com", "models": [MODEL],
            "api_key": "...", "tier": 1, "overflow_after": "30s", "max_concurrency": CLOUD_SLOTS,
        },
    ]
}  # fmt: skip
AFTER = (300.0, 120.0, 60.0, 30.0, 10.0, 0.0)
"""Seconds of `overflow_after`."""
MOST = 1.5
"""Times `overflow_after` that 99 % of the tasks may wait."""
COLUMNS = (
    "overflow_after", "p50", "p95", "p99", "longest", "in the cloud", "prompt tokens",
    "generated", "of all tokens",
)  # fmt: skip


class Result(NamedTuple):
    """What came of one value of `after`; None: the box alone."""

    after: float | None
    found: Figures

    @property
    def name(self) -> str:
        """For people."""
        match self.after:
            case None:
                return "the box alone"
            case 0.0:
                return "0s: at once"
            case seconds:
                return format_duration(seconds)

    @property
    def cloud(self) -> Served:
        return self.found.by_server.get(CLOUD, Served(0, 0, 0))

    @property
    def tasks_share(self) -> float:
        """The share of the tasks that went to the cloud."""
        return self.cloud.tasks / self.found.waits.tasks

    @property
    def tokens_share(self) -> float:
        """The share of all tokens that went to the cloud."""
        every = sum(map(_tokens, self.found.by_server.values()))
        return _tokens(self.cloud) / every if every else 0.0


def _tokens(served: Served) -> int:
    return served.prompt_tokens + served.generated_tokens


def setup(slots: int, cloud_slots: int, cloud: Rates) -> Setup:
    """The backends of SETTINGS; so large and, the cloud, so fast."""
    found = setup_of(to_config(dict(SETTINGS)), slots=slots)
    own, other = found.servers
    other = replace(other, slots=cloud_slots, most=cloud_slots, rates={f"{MODEL}:latest": cloud})
    return replace(found, servers=(own, other), workers=None)


def read_tasks(requests: Sequence[Sent], rates: Rates) -> list[Asked]:
    trace = [
        Ran(
            created_at=sent.at, model=MODEL, type=TaskType.CHAT, priority=Priority.NORMAL,
            status=Status.COMPLETED, prompt_tokens=sent.prompt_tokens,
            completion_tokens=sent.tokens,
        )
        for sent in requests
    ]  # fmt: skip
    return asked(trace, {f"{MODEL}:latest": rates})


def measure(tasks: Sequence[Asked], rates: Rates, servers: Setup) -> list[Result]:
    """The box alone, then with the cloud."""
    box, cloud = servers.servers
    results = []
    for after in (None, *AFTER):
        tried = (box,) if after is None else (box, replace(cloud, overflow_after=after))
        replayed = replay(
            tasks, parse_order("fifo"), replace(servers, servers=tried), {f"{MODEL}:latest": rates}
        )
        results.append(Result(after, figures(replayed)))
    return results


def failures(results: Sequence[Result]) -> list[str]:
    """What is not as it has to be."""
    alone, *others = results
    wrong: list[str] = []
    for each in others:
        after, p99 = each.after or 0.0, each.found.waits.p99
        if 0.0 < after < alone.found.waits.p99 and p99 > MOST * after:
            wrong.append(f"{each.name}: the p99 of the waits is {p99:.1f} s, over {MOST:g} times")
    for longer, shorter in pairwise(others):
        if shorter.cloud.tasks < longer.cloud.tasks:
            wrong.append(f"{shorter.name}: fewer tasks in the cloud than with {longer.name}")
    if not others[-1].cloud.tasks:
        wrong.append("nothing went to the cloud: the box is large enough (--slots)")
    return wrong


def table(results: Sequence[Result]) -> str:
    return columns([COLUMNS, *map(_row, results)])


def _row(result: Result) -> tuple[str, ...]:
    waits, cloud = result.found.waits, result.cloud
    return (
        result.name,
        *map(format_duration, (waits.p50, waits.p95, waits.p99, waits.worst)),
        f"{cloud.tasks:,} ({result.tasks_share:.1%})",
        f"{cloud.prompt_tokens:,}",
        f"{cloud.generated_tokens:,}",
        f"{result.tokens_share:.1%}",
    )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = trace_parser("bench.overflow", __doc__, SEED, "it", SLOTS)
    parser.add_argument(
        "--cloud-slots", type=count, default=CLOUD_SLOTS, help=f"calls in the cloud [{CLOUD_SLOTS}]"
    )
    parser.add_argument("--cloud-rate", type=rate, default=100.0, help="tokens/s there [100]")
    options = parser.parse_args(arguments)
    rates = Rates(options.prompt_rate, options.rate, load=0.0)
    cloud = Rates(options.prompt_rate, options.cloud_rate, load=0.0)
    file: Path | None = options.file or trace_file(FILE)
    try:
        requests = made_up(options.seed) if file is None else read_requests(file)
    except (OSError, ValueError) as error:
        print(error)
        return 2
    if not requests:
        print(f"{file} has no requests")
        return 2
    tasks = read_tasks(requests, rates)
    results = measure(tasks, rates, setup(options.slots, options.cloud_slots, cloud))
    of = f"made up with the seed {options.seed}" if file is None else f"of {file.stem}"
    print(_said(tasks, of, options.slots, rates, options.cloud_slots, cloud))
    print(table(results))
    if options.chart:
        from bench.order_charts import overflow_chart  # matplotlib takes a while

        bars = {
            each.name: (each.found.waits.p50, each.found.waits.p99, each.tokens_share)
            for each in results
        }
        options.chart.write_text(overflow_chart(bars, len(tasks)))
    wrong = failures(results)
    print("\n" + ("\n".join(f"FAILED: {each}" for each in wrong) or "as it has to be"))
    return 1 if wrong else 0


def _said(
    tasks: Sequence[Asked], of: str, slots: int, rates: Rates, cloud_slots: int, cloud: Rates
) -> str:
    last = tasks[-1].at or 1.0
    needed = sum(task.reads + task.writes for task in tasks) / last
    return (
        f"{len(tasks):,} requests {of}, of {format_duration(last)}, for one model. A box with"
        f" {slots} slots, of which {needed:.1f} would be needed; a cloud with {cloud_slots}. A call"
        f" has {rates.prompt:,.0f} prompt tokens/s and {rates.generated:,.0f} generated tokens/s,"
        f" in the cloud {cloud.generated:,.0f}.\n"
    )


if __name__ == "__main__":
    sys.exit(main())

"""The regression gate: a short run that fails when oq has become slower than its baseline says.

    make bench-gate                  compare with bench/baseline.json; exit code 1 if it is slower
    make bench-gate ARGS=--update    measure, and write that file

`bench.trial` runs oq with its HTTP server in this process, and the disk left out. Each cost is
counted in turns of a yardstick (`bench.yardstick`), so that it means the same on a fast and on a
slow machine. How noise does not fail it:

- Noise only ever adds. So each cost is the least of many short rounds over the least of its
  yardstick's, both interleaved; that estimates what a quiet machine would show, and more rounds
  only come closer to it.
- `cpu` is processor time. `wall` is the time of a whole stretch of tasks without what the process
  waited for a processor (`bench.stopwatch`): neighbours are not in it, but each sleep of oq's is.
- `syncs` are counted, and so exact: with a disk each costs more than all else of a lone task.
- While a cost is over its limit all is measured again, in ATTEMPTS runs at most. Each cost is then
  the second least of them, in turns of the yardstick of its own run: a slower build is slower in
  each, and one run with a slow yardstick hides nothing. The least of all yardsticks is no measure:
  where the machine's speed changes within minutes, one fast moment made oq look slow.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from bench.children import interruptible
from bench.report import machine
from bench.trial import Figures, least, measure

BASELINE = Path(__file__).parent / "baseline.json"
ATTEMPTS = 5
ROUNDS = 24


class Cost(NamedTuple):
    """What a cost is counted in, None if it is a count itself; and how many times as much as in the
    baseline it may be.
    """

    yardstick: str | None
    at_most: float


COSTS = {
    "bulk_cpu": Cost("loop_cpu", 1.5),
    "bulk_wall": Cost("loop_wall", 1.5),
    "bulk_syncs": Cost(None, 3.0),  # a handful, and one more or less is the threads' luck
    "producers_cpu": Cost("loop_cpu", 1.5),
    "producers_wall": Cost("loop_wall", 1.5),
    "producers_syncs": Cost(None, 1.6),  # likewise, but rarely
    "lone_cpu": Cost("hop_cpu", 1.5),
    "lone_wall": Cost("hop_wall", 1.5),
    "lone_syncs": Cost(None, 1.02),
    "post_cpu": Cost("hop_cpu", 1.5),
    "post_wall": Cost("hop_wall", 1.5),
    "post_syncs": Cost(None, 1.1),
    "commit_syncs": Cost(None, 1.01),
    "call_cpu": Cost("hop_cpu", 1.15),
    "chunk_cpu": Cost("hop_cpu", 1.5),
}
"""Of a task, but for `commit_syncs`; the last two are of a drop-in call and of a chunk of a stream,
which pass through oq one at a time. What tasks in bulk and of many producers take is work of the
interpreter; what a lone task, POST, call or chunk takes is also the threads' and the kernel's. The
call's limit is narrow, for 200 µs more are to be found in a millisecond; it hardly differs from run
to run.
"""


class Gate(msgspec.Struct, frozen=True):
    """A baseline: the costs, and where they were measured."""

    costs: Figures
    machine: dict[str, object]


def costs_of(figures: Mapping[str, float]) -> Figures:
    """Every cost in turns of its yardstick, or as it was counted."""
    return {
        name: figures[name] / (1.0 if cost.yardstick is None else figures[cost.yardstick])
        for name, cost in COSTS.items()
    }


def over(costs: Mapping[str, float], baseline: Mapping[str, float]) -> list[str]:
    """The costs that are over their limits. KeyError if the baseline lacks one."""
    return [name for name, cost in costs.items() if cost > baseline[name] * COSTS[name].at_most]


def judge(baseline: Mapping[str, float], rounds: int = ROUNDS) -> tuple[Figures, list[str]]:
    """The costs now, and which of them are over their limits however often they are measured."""
    runs = [costs_of(measure(rounds))]
    costs = runs[0]
    while over(costs, baseline) and len(runs) < ATTEMPTS:
        runs.append(costs_of(measure(rounds)))
        costs = {name: sorted(run[name] for run in runs)[1] for name in COSTS}
    return costs, over(costs, baseline)


def table(costs: Mapping[str, float], baseline: Mapping[str, float]) -> str:
    """What was found beside what there was."""
    rows = ["| cost of a task | in | now | baseline | ratio | at most |", "|-|-|-|-|-|-|"]
    rows += [
        f"| {name} | {COSTS[name].yardstick or 'syncs'} | {cost:,.4g} | {baseline[name]:,.4g}"
        f" | {cost / baseline[name]:.2f} | {COSTS[name].at_most:.2f} |"
        for name, cost in costs.items()
    ]
    return "\n".join(rows)


def verdict(costs: Mapping[str, float], baseline: Mapping[str, float]) -> str:
    """What to do about it, as sentences; empty when all is as it was."""
    said = []
    if slower := over(costs, baseline):
        said.append(
            f"oq has become slower: {', '.join(slower)}. `make bench-profile` shows where the time"
            " goes; if well spent, `make bench-gate ARGS=--update` takes it as the norm."
        )
    faster = [name for name in costs if costs[name] * COSTS[name].at_most < baseline[name]]
    if faster:
        said.append(
            f"oq has become much faster: {', '.join(faster)}. `make bench-gate ARGS=--update` holds"
            " it there."
        )
    return "\n".join(said)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.gate")
    parser.add_argument("--update", action="store_true", help="write the baseline")
    if parser.parse_args().update:
        _update()
        return 0
    baseline = msgspec.json.decode(BASELINE.read_bytes(), type=Gate).costs
    costs, slower = judge(baseline)
    print(table(costs, baseline))
    if said := verdict(costs, baseline):
        print(f"\n{said}")
    return 1 if slower else 0


def _update() -> None:
    figures: Figures = {}
    for _ in range(ATTEMPTS):
        figures = least(figures, measure(ROUNDS))
    costs = {name: round(cost, 4) for name, cost in costs_of(figures).items()}
    document = msgspec.json.encode(Gate(costs, machine()))
    BASELINE.write_bytes(msgspec.json.format(document, indent=1) + b"\n")
    print(f"{BASELINE.name}: {', '.join(f'{name} {cost:,.4g}' for name, cost in costs.items())}")


if __name__ == "__main__":
    sys.exit(interruptible(main))

"""The regression gate: a short run that fails when oq has become slower than its baseline says.

    python -m bench.gate            compare with bench/baseline.json; exit code 1 if it is slower
    python -m bench.gate --update   measure, and write that file

Costs are counted in turns of a reference loop, pure Python in the same process, so that they mean
the same on a fast and on a slow machine. How they come to be, and why noise does not fail it:

- The disk is left out (nothing is synced), for it is the machine's and not oq's.
- Noise only ever adds time. So each cost is the least of several rounds over the least of the
  reference's, both interleaved; that estimates what a quiet machine would show, and more rounds
  only come closer to it.
- `cpu` costs are processor time, which other programs do not use up. `wall` is the time that a lone
  task takes, of which the tenth of the fastest counts: about a millisecond often goes undisturbed
  on a loaded machine, while what waits in oq itself, as a sleep in the writer, delays every task.
- While a cost is over its limit all is measured again, in ATTEMPTS runs at most, of which the least
  counts: of oq, and of the reference. A build that is slower stays so; what was noise goes away.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Mapping
from math import inf
from pathlib import Path

import msgspec
import trio

from bench.embedded import Ends
from bench.figures import percentile
from bench.payload import submission
from bench.report import machine
from oq.backends.simulated import NoopBackend
from oq.queue import Queue, open_queue
from oq.store import Store
from oq.store.rocks import RocksEngine
from oq.words.config import to_config

BASELINE = Path(__file__).parent / "baseline.json"
MARGIN = 0.5
"""How much more than in the baseline a cost may be: oq may lose a third of its speed, no more."""
ATTEMPTS = 4
ROUNDS = 8
BULK = 1_000
PRODUCERS, EACH = 64, 8
LONE = 100
REFERENCE_TURNS = 5_000
REFERENCE_LOOPS = 20
FASTEST = 0.1
"""The share of lone tasks that are fast: the slowest of these counts."""

Seconds = dict[str, float]
"""The least that was measured, by the names of the costs and of the reference."""
Costs = dict[str, float]
"""The same in turns of the reference loop, by the names of the costs."""


class Gate(msgspec.Struct, frozen=True):
    """A baseline: the costs, and where they were measured."""

    costs: Costs
    machine: dict[str, object]


class Undisturbed(RocksEngine):
    """RocksDB whose sync costs the hop to a thread, and nothing more."""

    def sync(self, commit: int) -> None:
        pass


def measure(rounds: int = ROUNDS) -> Seconds:
    """What oq takes: processor time for a task in bulk, for one of many producers and for a lone
    task, and the time that a lone one takes; beside it a turn of the reference loop.
    """
    with tempfile.TemporaryDirectory(prefix="oq-gate-") as directory:
        return trio.run(_measure, directory, rounds)


async def _measure(directory: str, rounds: int) -> Seconds:
    config = to_config({"queue": {"max_workers": 64, "max_completed_tasks": 0}})
    store = Store(Undisturbed(directory))
    async with open_queue(config, backends=[NoopBackend()], store=store) as queue:
        trial = Trial(queue)
        found: Seconds = {}
        for _ in range(rounds):
            found = least(found, _reference() | await trial.round())
        return found


def least(one: Mapping[str, float], other: Mapping[str, float]) -> Seconds:
    """Of each figure the lesser."""
    return {name: min(one.get(name, inf), seconds) for name, seconds in other.items()}


def costs_of(seconds: Mapping[str, float]) -> Costs:
    """Every figure but the reference's own, in turns of it: `x_cpu` in `reference_cpu`."""
    return {
        name: taken / seconds[f"reference_{name.rpartition('_')[2]}"]
        for name, taken in seconds.items()
        if not name.startswith("reference_")
    }


class Trial:
    """Measures an open queue, round for round. All its figures are seconds a task."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._ends = Ends(queue)
        self._submitted = 0

    async def round(self) -> Seconds:
        bulk = await self._bulk()
        many = await self._producers()
        return {"bulk_cpu": bulk, "producers_cpu": many} | await self._lone()

    async def _bulk(self) -> float:
        begun = time.process_time()
        await self._queue.accept_many([submission()] * BULK)
        await self._ended(BULK)
        return (time.process_time() - begun) / BULK

    async def _producers(self) -> float:
        async def produce() -> None:
            for _ in range(EACH):
                await self._queue.accept(submission())

        begun = time.process_time()
        async with trio.open_nursery() as nursery:
            for _ in range(PRODUCERS):
                nursery.start_soon(produce)
        await self._ended(PRODUCERS * EACH)
        return (time.process_time() - begun) / (PRODUCERS * EACH)

    async def _lone(self) -> Seconds:
        taken = []
        cpu = time.process_time()
        for _ in range(LONE):
            begun = time.perf_counter()
            await self._queue.accept(submission())
            await self._ended(1)
            taken.append(time.perf_counter() - begun)
        return {
            "lone_cpu": (time.process_time() - cpu) / LONE,
            "lone_wall": percentile(taken, FASTEST),
        }

    async def _ended(self, more: int) -> None:
        self._submitted += more
        await self._ends.wait(self._submitted)


def _reference() -> Seconds:
    """One turn of a fixed loop of dict, list and call work. A loop is about as long as a lone task,
    and counts as those do.
    """
    walls, cpus = [], []
    for _ in range(REFERENCE_LOOPS):
        wall, cpu = time.perf_counter(), time.process_time()
        table: dict[int, list[int]] = {}
        for turn in range(REFERENCE_TURNS):
            table.setdefault(turn % 1000, []).append(turn)
            if turn % 10 == 0:
                table.pop(turn % 1000, None)
        walls.append((time.perf_counter() - wall) / REFERENCE_TURNS)
        cpus.append((time.process_time() - cpu) / REFERENCE_TURNS)
    return {
        "reference_wall": percentile(walls, FASTEST),
        "reference_cpu": percentile(cpus, FASTEST),
    }


def over(costs: Mapping[str, float], baseline: Mapping[str, float]) -> list[str]:
    """The costs that are over their limits. KeyError if the baseline lacks one."""
    return [name for name, cost in costs.items() if cost > baseline[name] * (1 + MARGIN)]


def judge(baseline: Mapping[str, float], rounds: int = ROUNDS) -> tuple[Costs, list[str]]:
    """The costs now, and which of them are over their limits however often they are measured."""
    seconds = measure(rounds)
    for _ in range(ATTEMPTS - 1):
        if not over(costs_of(seconds), baseline):
            break
        seconds = least(seconds, measure(rounds))
    costs = costs_of(seconds)
    return costs, over(costs, baseline)


def table(costs: Mapping[str, float], baseline: Mapping[str, float]) -> str:
    """What was found beside what there was."""
    rows = ["| cost of a task | reference turns | baseline | ratio | at most |", "|-|-|-|-|-|"]
    rows += [
        f"| {name} | {cost:,.0f} | {baseline[name]:,.0f} | {cost / baseline[name]:.2f}"
        f" | {1 + MARGIN:.2f} |"
        for name, cost in costs.items()
    ]
    return "\n".join(rows)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.gate")
    parser.add_argument("--update", action="store_true", help="write the baseline")
    if parser.parse_args().update:
        _update()
        return 0
    baseline = msgspec.json.decode(BASELINE.read_bytes(), type=Gate).costs
    costs, slower = judge(baseline)
    print(table(costs, baseline))
    if slower:
        print(
            f"\noq has become slower: {', '.join(slower)}. `python -m bench.profile` shows where"
            " the time goes; if well spent, `python -m bench.gate --update` takes it as the norm."
        )
    elif all(cost * (1 + MARGIN) < baseline[name] for name, cost in costs.items()):
        print("\noq has become much faster: `python -m bench.gate --update` holds it there.")
    return 1 if slower else 0


def _update() -> None:
    seconds: Seconds = {}
    for _ in range(ATTEMPTS):
        seconds = least(seconds, measure())
    costs = {name: round(cost, 1) for name, cost in costs_of(seconds).items()}
    document = msgspec.json.encode(Gate(costs, machine()))
    BASELINE.write_bytes(msgspec.json.format(document, indent=1) + b"\n")
    print(f"{BASELINE.name}: {', '.join(f'{name} {cost:,.0f}' for name, cost in costs.items())}")


if __name__ == "__main__":
    sys.exit(main())

"""How good are estimates of when tasks start, and what does one cost?

    make bench-plan        prints this after the figures of the two models (`bench.plan`)

Two traces of real traffic are run in virtual time, by the code of `oq plan`. Each task that has to
wait is told when it will start and end, by what is known at that time and no more. The interval of
80 % has to be right for 75 to 85 % of them; also if the queue is started anew in the middle, with
what it keeps over a restart. Each trace is run alone, before a server that is a little too slow for
it now and then. Both together are two models on a server that holds one. There one after the other
loads a model every few calls, so they are run 40 times slower than they came, too. As they came,
first in first out, the line would grow by ten hours in one, and no estimate would be put to the
test before it is over; so that is left out.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from bench.columns import columns
from oq.plan.machine import Asked
from oq.plan.orders import parse_order
from oq.plan.rates import Rates
from oq.plan.replay import replay
from oq.plan.servers import alike
from oq.plan.told import Estimates, Right, estimates
from oq.rules.board import Board
from oq.rules.fleet import Fleet
from oq.rules.place import Place
from oq.rules.policies import POLICIES
from oq.rules.slots import BackendSlots
from oq.words.config import FairnessConfig, SchedulerConfig
from oq.words.durations import format_duration
from oq.words.messages import SERVED
from oq.words.task import Priority

ENOUGH = 5000
"""Tasks of which something can be learnt."""
LEAST, MOST = 0.75, 0.85
SLOWER = 40
COST = 20e-6
"""Seconds that an estimate may take."""
WAITING = 1_000_000
MODELS = 200
COLUMNS = ("traffic", "policy", "slots", "restart", "waited", "starts", "width", "ends", "width")


class Case(NamedTuple):
    """Tasks, and the server before which they wait."""

    name: str
    tasks: Sequence[Asked]
    policy: str
    slots: int


class Result(NamedTuple):
    """What came of a case, with or without a restart in the middle."""

    case: Case
    restart: bool
    found: Estimates | None

    def __str__(self) -> str:
        restart = ", with a restart" if self.restart else ""
        return f"{self.case.name}, {self.case.policy}{restart}"


def cases(conv: Sequence[Asked], code: Sequence[Asked], both: Sequence[Asked]) -> Iterator[Case]:
    """`conv` and `code` are the traces alone, and `both` together."""
    slow = [replace(task, at=task.at * SLOWER) for task in both]
    for policy in ("fifo", "affinity"):
        yield Case("conversations", conv, policy, 26)
        yield Case("code", code, policy, 4)
        yield Case(f"both, {SLOWER} times slower", slow, policy, 16)
    yield Case("both", both, "affinity", 1024)


def measure(case: Case, rates: Rates) -> Iterator[Result]:
    """The case without a restart, and with one."""
    models = {task.model: rates for task in case.tasks}
    for restart_at in (None, case.tasks[-1].at / 2):
        order, box = parse_order(case.policy), alike(slots=case.slots)
        replayed = replay(case.tasks, order, box, models, restart_at)
        yield Result(case, restart_at is not None, estimates(replayed.told))


def failures(results: Sequence[Result]) -> list[str]:
    """What is not as it has to be."""
    wrong = []
    for each in results:
        if each.found is None:
            wrong.append(f"{each}: no task was told anything")
            continue
        for what, right in (("starts", each.found.starts), ("ends", each.found.ends)):
            if not LEAST <= right.within <= MOST:
                wrong.append(
                    f"{each}: {right.within:.1%} of the {what} are in the interval of 80 %"
                )
    return wrong


def rows(results: Sequence[Result]) -> list[tuple[str, ...]]:
    """A table; `width` is that of the interval beside the time, both the median."""
    table: list[tuple[str, ...]] = [COLUMNS]
    for each in results:
        found, case = each.found, each.case
        if found is not None:
            table.append(
                (
                    case.name, case.policy, str(case.slots), "yes" if each.restart else "no",
                    f"{found.tasks:,}", *_right(found.starts), *_right(found.ends),
                )
            )  # fmt: skip
    return table


def _right(right: Right) -> tuple[str, str]:
    width, took = format_duration(right.width), format_duration(right.time)
    return f"{right.within:.1%}", f"{width} of {took}"


def cost(waiting: int = WAITING, rounds: int = 20, asked: int = 500) -> float:
    """The seconds that an estimate takes while so many tasks wait: the least of some rounds."""
    board = _board(waiting)
    ids = [_id(n * (waiting // asked)) for n in range(1, asked)]
    best = float("inf")
    for _ in range(rounds):
        begun = time.perf_counter()
        for task_id in ids:
            board.forecast.of(task_id, 100.0)
        best = min(best, (time.perf_counter() - begun) / len(ids))
    return best


def _board(waiting: int) -> Board:
    """A board on which so many tasks wait, of MODELS models and three priorities."""
    fleet = Fleet([BackendSlots("box", 4)])
    settings = SchedulerConfig()
    policy = POLICIES[settings.policy](fleet, settings, FairnessConfig())
    board = Board(4, fleet, policy, paused=False)
    levels = [int(level) for level in (Priority.LOW, Priority.NORMAL, Priority.HIGH)]
    places = [Place(level, f"model-{n}") for level in levels for n in range(MODELS)]
    board.load((_id(n), places[n % len(places)]) for n in range(waiting + 100))
    for n in range(100):
        job = board.next(n / 2)
        assert job is not None, "a backend that is up starts what waits"
        board.end(job.task_id)
        board.free(job.task_id, n / 2 + 1, SERVED)
        board.forecast.settle(n / 2 + 1)
    return board


def _id(number: int) -> str:
    return f"{number:026d}"


def report(
    conv: Sequence[Asked], code: Sequence[Asked], both: Sequence[Asked], rates: Rates
) -> list[str]:
    """Print the table; what is not as it has to be."""
    results = [result for case in cases(conv, code, both) for result in measure(case, rates)]
    took = cost()
    print("\nWhat is told of when tasks start and end: how often the interval of 80 % is right.\n")
    print(columns(rows(results)))
    print(f"\nAn estimate takes {took * 1e6:.1f} µs while {WAITING:,} tasks wait.")
    wrong = failures(results)
    if took > COST:
        wrong.append(f"an estimate takes {took * 1e6:.1f} µs, over {COST * 1e6:g}")
    return wrong

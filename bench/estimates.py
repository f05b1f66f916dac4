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

With fairness each trace alone is of two tenants, as in `bench.fairness`: one floods, one has a task
now and then. The interval has to be right for the tasks of each; for few tasks, within two standard
errors more.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from math import sqrt
from random import Random
from typing import NamedTuple

from msgspec.structs import replace

from bench.columns import columns
from bench.fairness import FLOOD, ONE_IN, SEED, TRICKLE
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
HELD, APART = 0.8, 0.05
"""The share that has to be within, and how far it may be from that."""
FEW = 1000
"""Of fewer tasks a share says less."""
SLOWER = 40
COST = 20e-6
"""Seconds that an estimate may take."""
WAITING = 1_000_000
MODELS = 200
TENANTS = 100
COLUMNS = ("traffic", "policy", "slots", "restart", "waited", "starts", "width", "ends", "width")


class Case(NamedTuple):
    """Tasks, and the server before which they wait. With `tenants` it counts what each is told."""

    name: str
    tasks: Sequence[Asked]
    policy: str
    slots: int
    tenants: Sequence[str] = ()


class Result(NamedTuple):
    """What came of a case, with or without a restart in the middle; of one tenant, or of all."""

    case: Case
    restart: bool
    found: Estimates | None
    tenant: str | None = None

    @property
    def name(self) -> str:
        return self.case.name if self.tenant is None else f"{self.case.name}, {self.tenant}"

    def __str__(self) -> str:
        restart = ", with a restart" if self.restart else ""
        return f"{self.name}, {self.case.policy}{restart}"


def cases(conv: Sequence[Asked], code: Sequence[Asked], both: Sequence[Asked]) -> Iterator[Case]:
    """`conv` and `code` are the traces alone, and `both` together."""
    slow = [replace(task, at=task.at * SLOWER) for task in both]
    for policy in ("fifo", "affinity"):
        yield Case("conversations", conv, policy, 26)
        yield Case("code", code, policy, 4)
        yield Case(f"both, {SLOWER} times slower", slow, policy, 16)
    yield Case("both", both, "affinity", 1024)
    for name, tasks, slots in (("conversations", conv, 26), ("code", code, 4)):
        yield Case(name, _of_two(tasks), "fifo,fairness=true", slots, (FLOOD, TRICKLE))


def _of_two(tasks: Sequence[Asked]) -> list[Asked]:
    """The tasks as those of a tenant that floods and of one that has few."""
    draw = Random(SEED)
    weights = (1, ONE_IN - 1)
    return [replace(task, tenant=draw.choices((TRICKLE, FLOOD), weights)[0]) for task in tasks]


def measure(case: Case, rates: Rates) -> Iterator[Result]:
    """The case without a restart, and with one."""
    models = {task.model: rates for task in case.tasks}
    for restart_at in (None, case.tasks[-1].at / 2):
        order, box = parse_order(case.policy), alike(slots=case.slots)
        told = replay(case.tasks, order, box, models, restart_at).told
        for tenant in case.tenants or (None,):
            of = [one for one in told if tenant in (None, one.call.asked.tenant)]
            yield Result(case, restart_at is not None, estimates(of), tenant)


def failures(results: Sequence[Result]) -> list[str]:
    """What is not as it has to be."""
    wrong = []
    for each in results:
        if each.found is None:
            wrong.append(f"{each}: no task was told anything")
            continue
        for what, right in (("starts", each.found.starts), ("ends", each.found.ends)):
            tasks = each.found.tasks
            error = sqrt(HELD * (1 - HELD) / tasks) if tasks < FEW else 0.0
            if abs(right.within - HELD) > APART + 2 * error:
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
                    each.name, case.policy, str(case.slots), "yes" if each.restart else "no",
                    f"{found.tasks:,}", *_right(found.starts), *_right(found.ends),
                )
            )  # fmt: skip
    return table


def _right(right: Right) -> tuple[str, str]:
    width, took = format_duration(right.width), format_duration(right.time)
    return f"{right.within:.1%}", f"{width} of {took}"


def cost(waiting: int = WAITING, tenants: int = 0, rounds: int = 20, asked: int = 500) -> float:
    """The seconds that an estimate takes while so many tasks wait: the least of some rounds. With
    `tenants` they are of so many, with fairness.
    """
    board = _board(waiting, tenants)
    ids = [_id(n * (waiting // asked)) for n in range(1, asked)]
    best = float("inf")
    for _ in range(rounds):
        begun = time.perf_counter()
        for task_id in ids:
            board.forecast.of(task_id, 100.0)
        best = min(best, (time.perf_counter() - begun) / len(ids))
    return best


def _board(waiting: int, tenants: int) -> Board:
    """A board on which so many tasks wait, of MODELS models and three priorities."""
    draw = Random(SEED)
    fleet = Fleet([BackendSlots("box", 4)])
    settings = SchedulerConfig()
    policy = POLICIES[settings.policy](fleet, settings, FairnessConfig(enabled=tenants > 0))
    board = Board(4, fleet, policy, paused=False)
    levels = [int(level) for level in (Priority.LOW, Priority.NORMAL, Priority.HIGH)]
    places = [
        Place(level, f"model-{n}", tenant=f"tenant-{draw.randrange(tenants)}" if tenants else "")
        for _ in range(max(1, tenants))
        for level in levels
        for n in range(MODELS)
    ]
    board.load((_id(n), places[n % len(places)]) for n in range(waiting + 100))
    for n in range(100):
        job = next(board.starts(n / 2), None)
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
    took, fair = cost(), cost(tenants=TENANTS)
    print("\nWhat is told of when tasks start and end: how often the interval of 80 % is right.\n")
    print(columns(rows(results)))
    print(
        f"\nAn estimate takes {took * 1e6:.1f} µs while {WAITING:,} tasks wait, and"
        f" {fair * 1e6:.1f} µs with fairness between {TENANTS} tenants."
    )
    wrong = failures(results)
    if max(took, fair) > COST:
        wrong.append(f"an estimate takes {max(took, fair) * 1e6:.1f} µs, over {COST * 1e6:g}")
    return wrong

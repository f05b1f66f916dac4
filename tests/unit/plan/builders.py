"""Tasks for replays, and one line to replay them."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from oq.plan.machine import Asked
from oq.plan.orders import parse_order
from oq.plan.rates import Rates
from oq.plan.replay import Replayed, replay
from oq.plan.servers import alike

LOAD = 10.0


def asked(at: float, model: str = "a", took: float = 1.0, priority: int = 5, **more) -> Asked:
    """A task that comes then, and takes so long; a quarter of it is its prompt."""
    given = {
        "number": 0,
        "tenant": None,
        "tokens": 10,
        "generated": 5,
        "reads": took / 4,
        "writes": took * 3 / 4,
    }
    return Asked(at=at, model=model, priority=priority, **given | more)


def numbered(tasks: Iterable[Asked]) -> list[Asked]:
    """The tasks in the order in which they come."""
    line = sorted(tasks, key=lambda task: task.at)
    return [replace(task, number=number) for number, task in enumerate(line)]


def run(tasks: Iterable[Asked], policy: str, load: float = LOAD, **box: int) -> Replayed:
    """Replay the tasks, which are put in order."""
    line = numbered(tasks)
    rates = {task.model: Rates(load=load) for task in line}
    return replay(line, parse_order(policy), alike(**box), rates)

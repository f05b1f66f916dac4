"""Tasks for replays, and one line to replay them."""

from __future__ import annotations

from collections.abc import Iterable

from oq.plan.machine import Asked
from oq.plan.orders import parse_order
from oq.plan.rates import Rates
from oq.plan.replay import Box, Replayed, replay

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


def run(tasks: Iterable[Asked], policy: str, load: float = LOAD, **box: int) -> Replayed:
    """Replay the tasks, which are put in order."""
    line = sorted(tasks, key=lambda task: task.at)
    numbered = [
        Asked(n, t.at, t.model, t.priority, t.tenant, t.tokens, t.generated, t.reads, t.writes)
        for n, t in enumerate(line)
    ]
    rates = {task.model: Rates(load=load) for task in numbered}
    return replay(numbered, parse_order(policy), Box(**box), rates)

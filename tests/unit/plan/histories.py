"""Replays of random traces, and what came of them: one line each, for a process of its own.

    python -m tests.unit.plan.histories 200 280

The same traces give the same lines, whatever the order in which a process goes through a set.
"""

from __future__ import annotations

import sys
from random import Random

from oq.plan.orders import parse_order
from oq.plan.rates import Rates
from oq.plan.replay import replay
from oq.plan.servers import Server, Setup
from tests.unit.plan.builders import asked, numbered

ORDERS = [
    "fifo", "affinity", "affinity,max_bypass=5s", "affinity,fairness=true,quantum=100",
    "fifo,fairness=true", "fifo,preempt=true", "affinity,preempt=true", "fifo,reserve=high:1",
]  # fmt: skip


def line(number: int) -> str:
    """What comes of the trace with this number."""
    random = Random(number)
    names = [f"model-{each}" for each in range(random.choice([3, 6, 12, 40]))]
    tasks = [
        asked(
            random.randrange(400) / 4,
            random.choice(names),
            random.randrange(1, 40) / 4,
            random.choice([1, 5, 5, 10, 15]),
            tenant=random.choice([None, "ann", "bob", "cy"]),
        )
        for _ in range(random.choice([20, 60, 150]))
    ]
    servers = tuple(
        Server(f"box{each}", random.choice([1, 2, 4]), random.choice([1, 2, 3, 5, 8]))
        for each in range(random.choice([1, 1, 2, 3]))
    )
    ordered = numbered(tasks)
    rates = {task.model: Rates(load=random.choice([0.0, 1.0, 8.0])) for task in ordered}
    restart = random.choice([None, 10.0, 20.0, 40.0])
    order = parse_order(random.choice(ORDERS))
    came = replay(ordered, order, Setup(servers), rates, restart)
    calls = [(call.server, call.sent, call.began, call.ended) for call in came.calls]
    return f"{number} {came.loads} {came.swaps} {came.late} {calls} {came.told}"


def main() -> None:
    for number in range(*map(int, sys.argv[1:])):
        sys.stdout.write(f"{line(number)}\n")


if __name__ == "__main__":
    main()

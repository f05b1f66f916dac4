"""What is told of a replay: how long tasks waited, what it cost in loads, how fair it was."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import ceil
from typing import TypeVar

from msgspec import Struct

from oq.plan.machine import Call
from oq.plan.replay import Replayed
from oq.plan.told import Estimates, estimates
from oq.words.task import Readable

Name = TypeVar("Name", int, str)


class Waits(Readable, Struct, frozen=True):
    """How long some tasks waited until somebody worked on them, in seconds."""

    tasks: int
    p50: float
    p95: float
    p99: float
    worst: float


class Served(Readable, Struct, frozen=True):
    """What one server has done, to its end."""

    tasks: int
    prompt_tokens: int
    generated_tokens: int


class Figures(Readable, Struct, frozen=True, kw_only=True):
    """`makespan` is in seconds, from the first submission to the last end. `tokens_per_second`
    counts prompts and answers. `fairness` is Jain's index of what each tenant got: the time that
    was spent on its tasks over the time that they took; 1 is even, and None is for fewer than two.
    `passed_over` counts tasks that were passed over for longer than promised; None: nothing is.
    `by_server` has each server by its name. `estimates` says how good those of tasks that had to
    wait were.
    """

    policy: str
    waits: Waits
    by_priority: dict[int, Waits]
    by_tenant: dict[str, Waits]
    by_server: dict[str, Served]
    loads: int
    swaps: int
    makespan: float
    tokens_per_second: float
    fairness: float | None
    passed_over: int | None
    estimates: Estimates | None = None


def figures(replayed: Replayed) -> Figures:
    """The figures of a replay of at least one task."""
    calls = replayed.calls
    makespan = max(call.ended for call in calls) - calls[0].asked.at
    tenants = _grouped((call.asked.tenant, call) for call in calls if call.asked.tenant)
    priorities = _grouped((call.asked.priority, call) for call in calls)
    servers = _grouped((call.server, call) for call in calls)
    return Figures(
        policy=replayed.order.text,
        waits=_waits(calls),
        by_priority={name: _waits(priorities[name]) for name in sorted(priorities, reverse=True)},
        by_tenant={name: _waits(tenants[name]) for name in sorted(tenants)},
        by_server={name: _done(servers.get(name, [])) for name in replayed.servers},
        loads=replayed.loads,
        swaps=replayed.swaps,
        makespan=makespan,
        tokens_per_second=sum(call.asked.tokens for call in calls) / makespan if makespan else 0.0,
        fairness=_fairness(list(tenants.values())),
        passed_over=replayed.late,
        estimates=estimates(replayed.told),
    )


def jain(shares: Sequence[float]) -> float:
    """Jain's index: 1 if all are alike, 1/n if one of n has all (DEC-TR-301, 1984)."""
    squares = sum(share * share for share in shares)
    return sum(shares) ** 2 / (len(shares) * squares) if squares else 1.0


def _fairness(tenants: list[list[Call]]) -> float | None:
    if len(tenants) < 2:
        return None
    return jain([_served(calls) for calls in tenants])


def _served(calls: list[Call]) -> float:
    """The share of their time in which somebody worked on them."""
    took = sum(call.ended - call.asked.at for call in calls)
    return sum(call.ended - call.began for call in calls) / took if took else 1.0


def _done(calls: Sequence[Call]) -> Served:
    generated = sum(call.asked.generated for call in calls)
    return Served(len(calls), sum(call.asked.tokens for call in calls) - generated, generated)


def _grouped(calls: Iterable[tuple[Name, Call]]) -> dict[Name, list[Call]]:
    groups: dict[Name, list[Call]] = {}
    for name, call in calls:
        groups.setdefault(name, []).append(call)
    return groups


def _waits(calls: Sequence[Call]) -> Waits:
    ranked = sorted(call.waited for call in calls)
    p50, p95, p99 = (_nearest_rank(ranked, share) for share in (0.5, 0.95, 0.99))
    return Waits(len(ranked), p50, p95, p99, ranked[-1])


def _nearest_rank(ranked: Sequence[float], share: float) -> float:
    return ranked[max(0, ceil(share * len(ranked)) - 1)]

"""What waiting tasks are told in a replay, with and without a restart."""

from __future__ import annotations

from math import inf
from random import Random

import pytest

from oq.plan.figures import figures
from oq.plan.machine import Asked, Call
from oq.plan.orders import parse_order
from oq.plan.rates import Rates
from oq.plan.replay import replay
from oq.plan.servers import alike
from oq.plan.told import Told, estimates
from oq.rules.calibration import Interval
from oq.rules.guesses import Estimate
from tests.unit.plan.builders import asked, run


def traffic(number: int = 3000, every: float = 1.0) -> list[Asked]:
    """Tasks of two models that take a second and more, as they come by chance."""
    random, tasks, at = Random(3), [], 0.0
    for n in range(number):
        at += random.expovariate(1 / every)
        took = random.expovariate(1 / 1.9)
        tasks.append(
            Asked(n, at, random.choice("ab"), 5, None, 10, 5, took / 4, took * 3 / 4)
        )  # fmt: skip
    return tasks


def call(at: float, sent: float, ended: float) -> Call:
    return Call(asked(at), sent=sent, began=sent, ended=ended)


def test_it_is_counted_how_often_they_were_right() -> None:
    told = Estimate(Interval(1, 2, 4), Interval(5, 6, 9))
    found = estimates(
        [
            Told(call(0, 2, 4), told), Told(call(10, 14, 15), told), Told(call(10, 19, 29), told),
            Told(call(10, 10.5, 18), told), Told(call(0, 1, 2), None),
        ]
    )  # fmt: skip
    assert found is not None
    assert (found.tasks, found.untold) == (5, 1)
    assert (found.starts.below, found.starts.within, found.starts.above) == (0.25, 0.5, 0.25)
    assert (found.ends.below, found.ends.within, found.ends.above) == (0.25, 0.5, 0.25)
    assert (found.starts.width, found.starts.time) == (3, 3)


def test_no_estimates_no_figures() -> None:
    assert estimates([]) is None
    assert estimates([Told(call(0, 1, 2), None)]) is None
    assert figures(run([asked(n, took=4) for n in range(9)], "ollama")).estimates is None


@pytest.mark.parametrize("policy", ["fifo", "affinity"])
@pytest.mark.parametrize("restart_at", [None, 1500.0])
def test_four_of_five_are_right_after_a_restart_too(policy: str, restart_at: float | None) -> None:
    tasks, box = traffic(), alike(slots=2, models=2)
    rates = {"a": Rates(load=3.0), "b": Rates(load=3.0)}
    replayed = replay(tasks, parse_order(policy), box, rates, restart_at)
    after = [one for one in replayed.told if restart_at is None or one.call.asked.at > restart_at]
    found = estimates(after)
    assert found is not None
    assert found.tasks > 500
    assert found.untold == 0 or restart_at is None
    assert 0.75 <= found.starts.within <= 0.85
    assert 0.75 <= found.ends.within <= 0.85


def test_after_a_restart_all_tasks_run_once_to_their_end() -> None:
    tasks = traffic(300, every=0.5)
    rates = {"a": Rates(load=3.0), "b": Rates(load=3.0)}
    replayed = replay(tasks, parse_order("affinity"), alike(slots=2), rates, 60.0)
    assert all(one.ended < inf for one in replayed.calls)
    broken_off = [one for one in replayed.calls if one.broken_off]
    assert 1 <= len(broken_off) <= 2
    assert all(one.sent >= 60.0 for one in broken_off)
    assert all(
        one.ended == pytest.approx(one.began + one.asked.reads + one.asked.writes)
        for one in replayed.calls
    )
    assert replayed.late == 0


def test_what_is_told_uses_nothing_that_comes_later() -> None:
    tasks = traffic(600)
    rates = {"a": Rates(load=3.0), "b": Rates(load=3.0)}
    whole = replay(tasks, parse_order("fifo"), alike(slots=1, models=2), rates).told
    first = replay(tasks[:300], parse_order("fifo"), alike(slots=1, models=2), rates).told
    assert len(first) > 50
    assert [one.estimate for one in whole[: len(first)]] == [one.estimate for one in first]

"""What is told of a replay, and how an order is asked for."""

from __future__ import annotations

import pytest

from oq.plan.figures import Waits, figures, jain
from oq.plan.orders import parse_order
from tests.unit.plan.builders import asked, run


def test_the_figures_of_a_hundred_tasks():
    tasks = [asked(n, took=1, priority=5 + n % 2) for n in range(100)]
    found = figures(run(tasks, "plain", load=0))
    assert found.waits == Waits(100, 0, 0, 0, 0)
    assert list(found.by_priority) == [6, 5]
    assert (found.loads, found.swaps, found.makespan) == (1, 0, 100)
    assert found.tokens_per_second == 10
    assert (found.fairness, found.by_tenant, found.passed_over) == (None, {}, 0)


def test_percentiles_are_those_of_tasks():
    """Each of the hundred waits for those before it: 0 to 99 seconds."""
    found = figures(run([asked(0, took=1) for _ in range(100)], "fifo", load=0))
    assert found.waits == Waits(100, 49, 94, 98, 99)


def test_tenants_are_compared_by_how_much_of_their_time_they_were_served():
    tasks = [
        asked(0, took=3, priority=9, tenant="ann"),
        asked(0, took=1, tenant="bob"),
        asked(0, took=2, tenant=None),
    ]
    found = figures(run(tasks, "fifo", load=0))
    assert found.by_tenant == {"ann": Waits(1, 0, 0, 0, 0), "bob": Waits(1, 3, 3, 3, 3)}
    assert found.fairness == pytest.approx(jain([1, 1 / 4]))


def test_jain():
    assert jain([2, 2, 2]) == 1
    assert jain([1, 0, 0, 0]) == 0.25
    assert jain([0, 0]) == 1


def test_no_time_is_no_division_by_zero():
    found = figures(run([asked(0, took=0, tenant=name) for name in "xy"], "fifo", load=0))
    assert (found.makespan, found.tokens_per_second, found.fairness) == (0, 0, 1)


@pytest.mark.parametrize(
    ("text", "passes"),
    [
        ("fifo", 0),
        ("plain", 0),
        ("ollama", None),
        ("affinity", 30),
        ("affinity, max_bypass=1m30s", 90),
    ],
)
def test_an_order_promises(text, passes):
    assert parse_order(text).passes == passes


def test_an_order_has_weights_and_slots_that_are_kept():
    text = "fifo,fairness=true,weight=ann:2,weight=a:b:0.5,reserve=high:2,reserve=critical"
    order = parse_order(text)
    weights = {one.tenant: one.weight for one in order.fairness.weights}
    assert weights == {"ann": 2, "a:b": 0.5}
    reserved = [(one.priority, one.slots) for one in order.settings.reserve]
    assert reserved == [("high", 2), ("critical", 1)]


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("fifo,weight=ann", "fairness.weights"),
        ("", "'' is not one of fifo, affinity, plain, ollama"),
        ("lifo", "'lifo' is not one of"),
        ("affinity,max_bypass", "'max_bypass' is no setting"),
        ("fifo,affinity=true", "'affinity=true' is no setting"),
        ("affinity,max_bypass=long", "scheduler.max_bypass: 'long' is not a duration"),
        ("affinity,max_by=3s", "scheduler: Object contains unknown field `max_by`"),
    ],
)
def test_another_order_is_refused(text, wrong):
    with pytest.raises(ValueError, match=wrong):
        parse_order(text)

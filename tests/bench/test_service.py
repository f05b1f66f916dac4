"""The service that tenants get over time, by hand."""

from __future__ import annotations

import pytest

from bench.service import Curve, apart, both_wait, cost, service
from tests.unit.plan.builders import asked, run

A_AND_B = ("a", "b")


def task(at: float, tenant: str, took: float = 4.0, tokens: int = 30, generated: int = 20):
    """A quarter of the time is for the prompt."""
    return asked(at, took=took, tenant=tenant, tokens=tokens, generated=generated)


def test_a_curve_between_its_points_and_outside():
    curve = Curve([2.0, 4.0, 8.0], [0.0, 10.0, 30.0])
    assert [curve.at(time) for time in (0, 2, 3, 4, 6, 8, 99)] == [0, 0, 5, 10, 20, 30, 30]
    assert curve.range(3, 6) == 15
    assert curve.range(9, 12) == 0
    assert Curve([], []).at(7) == 0


def test_the_minutes_of_a_curve():
    curve = Curve([0.0, 60.0, 180.0], [0.0, 60.0, 300.0])
    assert curve.by_the_minute(4) == [(0.5, 1), (1.5, 2), (2.5, 2), (3.5, 0)]


def test_service_is_given_while_the_prompt_is_read_and_the_answer_is_written():
    calls = run([task(0, "a")], "fifo", load=0).calls
    assert cost(calls[0].asked) == 50
    given = service(calls)
    assert [given.at(time) for time in (0, 0.5, 1, 2.5, 4, 9)] == [0, 5, 10, 30, 50, 50]
    weighted = service(calls, {"a": -0.5})
    assert weighted.at(4) == -25


def test_the_times_in_which_both_wait():
    """One slot, 4 s each: a runs until 4, a until 8, b until 12, b until 16."""
    tasks = [task(0, "a"), task(1, "a"), task(2, "b"), task(2.5, "b"), task(13, "a")]
    calls = run(tasks, "fifo", load=0).calls
    assert both_wait(calls, A_AND_B) == [(2, 4)]
    later = run([*tasks, task(3, "a")], "fifo", load=0).calls
    assert both_wait(later, A_AND_B) == [(2, 12)]


def test_how_far_apart_two_tenants_come_while_both_wait():
    """b waits from 2 until 12, when three tasks of a have been done, of which one began at 0."""
    tasks = [task(0, "a"), task(1, "a"), task(1, "a"), task(2, "b"), task(3, "a")]
    calls = run(tasks, "fifo", load=0).calls
    found = apart(calls, A_AND_B)
    assert found.seconds == 10
    assert found.given == (pytest.approx(100 + 80 / 3), 0)
    assert found.most == pytest.approx(found.given[0])
    assert apart(calls, A_AND_B, (2, 1)).most == pytest.approx(found.most / 2)


def test_alone_nobody_is_ahead():
    assert apart(run([task(0, "a")], "fifo").calls, A_AND_B) == (0, 0, (0, 0))

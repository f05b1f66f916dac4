"""The benchmark of estimates: its verdict, its table, and what an estimate costs."""

from __future__ import annotations

from msgspec.structs import replace

from bench.estimates import SLOWER, Case, Result, cases, cost, failures, measure, rows
from oq.plan.rates import Rates
from oq.plan.told import Estimates, Right
from tests.unit.plan.builders import asked

CASE = Case("code", [asked(0)], "fifo", 4)
RIGHT = Right(0.1, 0.8, 0.1, 4.0, 9.0)
GOOD = Estimates(100, 2, RIGHT, RIGHT)


def test_it_fails_if_the_interval_is_right_too_seldom_or_too_often() -> None:
    assert failures([Result(CASE, False, GOOD)]) == []
    for share in (0.74, 0.86):
        bad = replace(GOOD, ends=replace(RIGHT, within=share))
        assert failures([Result(CASE, True, bad)]) == [
            f"code, fifo, with a restart: {share:.1%} of the ends are in the interval of 80 %"
        ]
    assert failures([Result(CASE, False, None)]) == ["code, fifo: no task was told anything"]


def test_the_table_has_a_row_for_each_case() -> None:
    (head, row) = rows([Result(CASE, False, GOOD), Result(CASE, False, None)])
    assert len(head) == len(row)
    assert row[-4:] == ("80.0%", "4s of 9s", "80.0%", "4s of 9s")


def test_both_traces_with_both_policies() -> None:
    one, two = [asked(1)], [asked(2)]
    found = list(cases(one, two, [*one, *two]))
    alone = {(case.name, case.policy) for case in found}
    assert {
        (name, policy) for name in ("conversations", "code") for policy in ("fifo", "affinity")
    } < alone
    slow = next(case for case in found if "slower" in case.name)
    assert [task.at for task in slow.tasks] == [SLOWER, 2 * SLOWER]


def test_a_case_is_run_with_a_restart_and_without() -> None:
    tasks = [replace(asked(n / 2, "m:latest"), number=n) for n in range(200)]
    found = list(measure(Case("some", tasks, "fifo", 1), Rates(load=1.0)))
    assert [each.restart for each in found] == [False, True]
    assert all(each.found is not None and each.found.tasks > 100 for each in found)


def test_an_estimate_is_as_cheap_when_many_wait() -> None:
    few, many = cost(1000, rounds=5), cost(100_000, rounds=5)
    assert many < 5 * few

"""The benchmark of estimates: its verdict, its table, and what an estimate costs."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from bench.estimates import FEW, SLOWER, Case, Result, cases, cost, failures, measure, rows
from bench.fairness import FLOOD, TRICKLE
from oq.plan.rates import Rates
from oq.plan.told import Estimates, Right
from tests.unit.plan.builders import asked

CASE = Case("code", [asked(0)], "fifo", 4)
RIGHT = Right(0.1, 0.8, 0.1, 4.0, 9.0)
GOOD = Estimates(FEW, 2, RIGHT, RIGHT)


def test_it_fails_if_the_interval_is_right_too_seldom_or_too_often() -> None:
    assert failures([Result(CASE, False, GOOD)]) == []
    for share in (0.74, 0.86):
        bad = replace(GOOD, ends=replace(RIGHT, within=share))
        assert failures([Result(CASE, True, bad)]) == [
            f"code, fifo, with a restart: {share:.1%} of the ends are in the interval of 80 %"
        ]
    assert failures([Result(CASE, False, None)]) == ["code, fifo: no task was told anything"]


def test_of_few_tasks_a_share_says_less():
    bad = Estimates(100, 2, RIGHT, replace(RIGHT, within=0.86))
    assert failures([Result(CASE, False, bad)]) == []
    worse = replace(bad, starts=replace(RIGHT, within=0.66))
    assert len(failures([Result(CASE, False, worse, TRICKLE)])) == 1


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
    fair = [case for case in found if case.tenants]
    assert [case.name for case in fair] == ["conversations", "code"]
    assert all(task.tenant in case.tenants for case in fair for task in case.tasks)
    slow = next(case for case in found if "slower" in case.name)
    assert [task.at for task in slow.tasks] == [SLOWER, 2 * SLOWER]


def test_a_case_is_run_with_a_restart_and_without() -> None:
    tasks = [replace(asked(n / 2, "m:latest"), number=n) for n in range(200)]
    found = list(measure(Case("some", tasks, "fifo", 1), Rates(load=1.0)))
    assert [each.restart for each in found] == [False, True]
    assert all(each.found is not None and each.found.tasks > 100 for each in found)


def test_each_tenant_has_a_row() -> None:
    tasks = [
        replace(asked(n / 2, "m:latest", tenant=FLOOD if n % 4 else TRICKLE), number=n)
        for n in range(200)
    ]
    case = Case("some", tasks, "fifo,fairness=true", 1, (FLOOD, TRICKLE))
    found = list(measure(case, Rates(load=1.0)))
    assert [each.tenant for each in found] == [FLOOD, TRICKLE] * 2
    assert [row[0] for row in rows(found)[1:]] == ["some, flood", "some, trickle"] * 2
    assert all(each.found is not None and each.found.tasks > 25 for each in found)


@pytest.mark.parametrize("tenants", [0, 20])
def test_an_estimate_is_as_cheap_when_many_wait(tenants: int) -> None:
    few, many = cost(1000, tenants, rounds=5), cost(100_000, tenants, rounds=5)
    assert many < 5 * few

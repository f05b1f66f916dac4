"""The virtual token counters: who is the least served, and what a tenant that was away gets."""

from __future__ import annotations

from random import Random

import pytest

from oq.rules.shares import EXPECTED, MODELS, TENANTS, Shares
from oq.rules.waits import Waiting
from oq.words.config import FairnessConfig, WeightConfig

P = 5


def shares(quantum: int = 0, **weights: float) -> Shares:
    said = tuple(WeightConfig(tenant=name, weight=weight) for name, weight in weights.items())
    return Shares(FairnessConfig(enabled=True, quantum=quantum, weights=said))


def served(made: Shares, tenant: str, cost: float, model: str = "m") -> None:
    """A task of the tenant starts and ends."""
    made.started(f"task of {tenant}", P, tenant, model)
    made.ended(f"task of {tenant}", cost)


def test_the_least_served_are_first_and_equals_are_together():
    made = shares(quantum=100)
    for tenant in "abcd":
        made.joined(P, tenant)
    served(made, "a", 50)
    served(made, "b", 170)
    served(made, "c", 300)
    assert [sorted(each) for each in made.rounds(P)] == [["a", "d"], ["b"], ["c"]]
    served(made, "b", 80)
    assert [sorted(each) for each in made.rounds(P)] == [["a", "d"], ["b", "c"]]


def test_a_task_is_charged_when_it_starts_and_set_right_when_it_ends():
    made = shares()
    made.joined(P, "a")
    made.started("1", P, "a", "m")
    assert made.served(P, "a") == EXPECTED
    made.ended("1", 120)
    assert made.served(P, "a") == 120
    made.started("2", P, "a", "m")
    assert made.served(P, "a") == 240, "what tasks of the model cost is known now"
    made.ended("2", None)
    assert made.served(P, "a") == 240, "broken off: what it cost is not known"


def test_two_of_one_tenant_count_twice():
    made = shares()
    made.joined(P, "a")
    for task in "12":
        made.started(task, P, "a", "m")
    assert made.served(P, "a") == 2 * EXPECTED


def test_a_weight_of_two_is_twice_the_service():
    made = shares(a=2)
    for tenant in "ab":
        made.joined(P, tenant)
    for tenant in "ab":
        served(made, tenant, 600)
    assert (made.served(P, "a"), made.served(P, "b")) == (300, 600)


def test_who_comes_back_does_not_get_what_it_left_while_it_was_away():
    made = shares()
    for tenant in "ab":
        made.joined(P, tenant)
    made.left(P, "b")
    served(made, "a", 900)
    made.joined(P, "b")
    assert made.served(P, "b") == 900


def test_who_comes_back_pays_what_it_got_before():
    made = shares()
    for tenant in "ab":
        made.joined(P, tenant)
    served(made, "b", 700)
    made.left(P, "b")
    made.joined(P, "b")
    assert made.served(P, "b") == 700


def test_who_comes_when_nobody_is_there_has_what_the_last_one_had():
    made = shares()
    made.joined(P, "a")
    served(made, "a", 400)
    made.left(P, "a")
    made.joined(P, "b")
    assert made.served(P, "b") == 400


def test_what_runs_of_one_that_left_is_still_charged():
    made = shares()
    made.joined(P, "a")
    made.started("1", P, "a", "m")
    made.left(P, "a")
    made.ended("1", 800)
    made.joined(P, "a")
    assert made.served(P, "a") == 800


def test_who_comes_has_no_part_in_what_is_only_expected_of_others():
    made = shares()
    made.joined(P, "a")
    made.started("1", P, "a", "m")
    made.joined(P, "b")
    made.ended("1", 30)
    assert (made.served(P, "a"), made.served(P, "b")) == (30, 0)


def test_priorities_are_apart():
    made = shares()
    for priority in (P, 9):
        made.joined(priority, "a")
    served(made, "a", 400)
    assert (made.served(P, "a"), made.served(9, "a")) == (400, 0)


def test_what_is_remembered_is_bounded():
    made = shares()
    for n in range(TENANTS + 50):
        made.joined(P, f"t{n}")
        served(made, f"t{n}", 10 + n, model=f"m{n % (2 * MODELS)}")
        made.left(P, f"t{n}")
    assert len(made._bands[P].away) == TENANTS
    assert len(made._costs) == MODELS


@pytest.mark.parametrize("quantum", [0, 5000])
def test_one_that_is_served_more_than_others_is_never_left_out_of_the_rounds(quantum):
    made = shares(quantum)
    for n in range(20):
        made.joined(P, f"t{n}")
        served(made, f"t{n}", 997 * n)
    found = [tenant for equals in made.rounds(P) for tenant in equals]
    assert sorted(found) == sorted(f"t{n}" for n in range(20))


@pytest.mark.parametrize("number", range(40))
def test_the_next_turns_are_those_that_come(number):
    random = Random(number)
    tenants = "abcde"
    made = shares(**{tenant: random.choice([0.5, 1, 2]) for tenant in tenants})
    waiting = {tenant: random.randint(1, 20) for tenant in tenants}
    for tenant in tenants:
        made.joined(P, tenant)
    for tenant in random.choices(tenants, k=10):
        served(made, tenant, random.choice([100, 900]), "other")
    starts = random.randint(0, sum(waiting.values()) - 1)
    each = made.expected("m")
    turns = made.turns(P, {one: Waiting(many, each) for one, many in waiting.items()}, starts)
    assert sum(turns.values()) == starts
    came = dict.fromkeys(tenants, 0)
    for n in range(starts):
        least = next(
            tenant for each in made.rounds(P) for tenant in each if came[tenant] < waiting[tenant]
        )
        came[least] += 1
        made.started(f"y{n}", P, least, "m")
    assert all(abs(came[tenant] - turns[tenant]) <= 1 for tenant in tenants), "but for ties"


def test_it_is_known_what_one_that_comes_back_will_have():
    made = shares()
    assert made.lifted(P, "b") == 0, "nobody has ever been there"
    made.joined(P, "a")
    served(made, "a", 70)
    made.joined(P, "b")
    served(made, "b", 400)
    made.started("running", P, "b", "m")
    made.left(P, "b")
    told = made.lifted(P, "b"), made.lifted(P, "new")
    for tenant in ("b", "new"):
        made.joined(P, tenant)
    assert told == (made.served(P, "b"), made.served(P, "new"))
    made.left(P, "a")
    made.left(P, "b")
    made.left(P, "new")
    told = made.lifted(P, "new")
    made.joined(P, "new")
    assert told == made.served(P, "new"), "alone it has what the last one had"

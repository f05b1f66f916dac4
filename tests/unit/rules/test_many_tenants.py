"""More tenants than are told apart: the others are one, and are served like one."""

from __future__ import annotations

from operator import itemgetter

import pytest

from oq.rules.affinity import _first_of_each
from oq.rules.bands import Bands
from oq.rules.board import Board
from oq.rules.fleet import Fleet
from oq.rules.place import Place
from oq.rules.policies import POLICIES
from oq.rules.ready import ReadyQueue
from oq.rules.slots import BackendSlots
from oq.words.config import to_config
from oq.words.messages import Ended
from tests.support.builders import task_id

MOST = 3


def board(policy: str, tasks: list[str], *, load: bool = False, weights=()) -> Board:
    """One backend with one slot, and a task of each of these tenants."""
    fairness = {"enabled": True, "quantum": 0, "max_tenants": MOST, "weights": weights}
    settings = {"scheduler": {"affinity": policy == "affinity"}, "fairness": fairness}
    config = to_config(settings)
    fleet = Fleet([BackendSlots("b0", 1)])
    made = POLICIES[policy](fleet, config.scheduler, config.fairness)
    made_board = Board(1, fleet, made, paused=False)
    places = [(task_id(n), Place(5, "m", tenant=one)) for n, one in enumerate(tasks)]
    if load:
        made_board.load(places)
    else:
        for task, place in places:
            made_board.place(task, place)
    return made_board


def run(made: Board) -> list[int]:
    """The tasks, by their numbers, in the order in which they start. Each costs the same."""
    order: list[int] = []
    for job in made.starts(0.0):
        order.append(int(job.task_id[-4:], 16))
        made.end(job.task_id)
        made.free(job.task_id, 0.0, Ended(served=True, cost=100))
    return order


@pytest.mark.parametrize("load", [False, True], ids=["came", "found at the start"])
@pytest.mark.parametrize("policy", POLICIES)
def test_tenants_beyond_the_most_are_one(policy, load):
    flood = [f"made up {n}" for n in range(20)]
    made = board(policy, ["ann", "bob", "cy", *flood, "ann", "bob", "cy"], load=load)
    assert len(made._policy._bands[5].flows) == MOST + 1
    order = run(made)
    assert sorted(order) == list(range(26))
    assert max(order.index(task) for task in (23, 24, 25)) < 9, "they do not wait for the flood"
    shares = made._policy._shares
    assert not shares._running
    assert not shares._bands[5].active


@pytest.mark.parametrize("policy", POLICIES)
def test_one_with_a_weight_is_always_told_apart(policy):
    flood = [f"made up {n}" for n in range(20)]
    made = board(policy, [*flood, "ann", "ann"], weights=[{"tenant": "ann", "weight": 1}])
    assert "ann" in made._policy._bands[5].flows
    order = run(made)
    assert max(order.index(task) for task in (20, 21)) < 9


@pytest.mark.parametrize("policy", POLICIES)
def test_a_task_of_one_that_is_not_told_apart_can_leave_the_line(policy):
    made = board(policy, ["a", "b", "c", "d", "e"])
    made.settle(task_id(3))
    made.end(task_id(3))
    made.settle(task_id(0))
    made.end(task_id(0))
    made.place(task_id(3), Place(5, "m", tenant="d"))
    assert sorted(run(made)) == [1, 2, 3, 4]


@pytest.mark.parametrize("some", [("a", "b", "c", "d", "e"), ("b", "d"), ("e",)])
def test_the_first_of_each_kind_is_the_same_however_it_is_found(some):
    tasks = [(task_id(n), Place(5, "mn"[n % 3 == 0], tenant="abcde"[n * 7 % 5])) for n in range(40)]
    bands = Bands(ReadyQueue(dict(tasks)), by_tenant=True, most=MOST, named="abcde")
    bands.settle(0.0)
    flows = [bands[5].flows[tenant] for tenant in some]
    theirs = [(task, place.model) for task, place in tasks if place.tenant in some]
    firsts = sorted({model: task for task, model in reversed(theirs)}.items(), key=itemgetter(1))
    found = [(kind[0], task) for task, kind in _first_of_each(bands[5], flows)]
    assert found == firsts

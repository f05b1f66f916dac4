"""Slots that lower tasks do not get, and tasks that run when it is quiet."""

from __future__ import annotations

import pytest

from oq.rules.board import Board
from oq.rules.fleet import Fleet
from oq.rules.place import Place
from oq.rules.policies import POLICIES
from oq.rules.reserve import Reserve
from oq.rules.slots import BackendSlots
from oq.words.config import to_config
from oq.words.views import BackendFacts
from tests.support.builders import task_id

A, B, C, D, E = (task_id(n) for n in range(1, 6))


def board(policy="fifo", slots=3, workers=9, limits=None, **scheduler) -> Board:
    config = to_config({"scheduler": {"affinity": policy == "affinity"} | scheduler})
    fleet = Fleet([BackendSlots(f"b{n}", limit) for n, limit in enumerate(limits or [slots])])
    made = POLICIES[policy](fleet, config.scheduler, config.fairness)
    return Board(workers, fleet, made, paused=False)


def start(made: Board, now: float = 0.0) -> list[str]:
    return [job.task_id for job in made.starts(now)]


def stop(made: Board, task: str, now: float) -> None:
    made.end(task)
    made.free(task, now)


RESERVE = [{"priority": "high", "slots": 1}]


@pytest.mark.parametrize("policy", POLICIES)
def test_lower_tasks_leave_the_reserved_slots_free(policy):
    made = board(policy, reserve=RESERVE)
    for task in (A, B, C):
        made.place(task, Place(5, "m"))
    assert start(made) == [A, B], "of three slots one is kept"
    made.place(D, Place(10, "m"))
    assert start(made) == [D]
    assert made.waits_for(C, 0.5) == "all slots of b0 for m are taken"
    stop(made, D, 1.0)
    assert made.waits_for(C, 1.0) == "the free slots are kept for urgent tasks (scheduler.reserve)"
    assert start(made, 1.0) == [], "a slot is free again, and it is the reserved one"
    stop(made, A, 2.0)
    assert start(made, 2.0) == [C]


@pytest.mark.parametrize("policy", POLICIES)
def test_one_slot_is_always_left_to_lower_tasks(policy):
    made = board(policy, slots=1, reserve=[{"priority": "high", "slots": 5}])
    made.place(A, Place(1, "m"))
    assert start(made) == [A]


def test_reserves_of_two_priorities():
    made = board(slots=5, reserve=[{"priority": 15, "slots": 1}, {"priority": 10, "slots": 3}])
    for task in (A, B, C):
        made.place(task, Place(5, "m"))
    assert start(made) == [A, B]
    made.place(D, Place(10, "m"))
    made.place(E, Place(10, "m"))
    assert start(made) == [D, E], "of high tasks four may run"


def test_the_workers_are_a_bound_of_their_own():
    made = board(limits=[2, 2], workers=3, reserve=RESERVE)
    for task in (A, B, C):
        made.place(task, Place(5, "m"))
    assert start(made) == [A, B], "one of three workers is kept"


def test_each_backend_keeps_its_own():
    made = board(limits=[2, 2], reserve=RESERVE)
    for task in (A, B, C):
        made.place(task, Place(5, "m"))
    assert start(made) == [A, B]
    assert [one.running for one in made.backends] == [1, 1]


def test_how_many_slots_there_are_is_found_out_by_all_tasks():
    """Or else a backend that serves four would get one task for ever."""
    config = to_config({"scheduler": {"reserve": RESERVE}})
    fleet = Fleet([BackendSlots("b0", 64, "measured", max_models=1)])
    made = Board(
        64, fleet, POLICIES["fifo"](fleet, config.scheduler, config.fairness), paused=False
    )
    group = fleet.backends[0].residency.group(("m:latest", ""), "m")
    group.loaded = True
    assert fleet.backends[0].serves(Place(1, "m")) is None
    group.concurrency.restore(4, 5, 0.0)
    assert fleet.backends[0].serves(Place(1, "m")) == 4
    for task in (A, B, C, D, E):
        made.place(task, Place(1, "m"))
    assert start(made) == [A, B, C]


@pytest.mark.parametrize("policy", POLICIES)
def test_idle_tasks_run_when_nothing_has_run_for_a_while(policy):
    made = board(policy, idle_after=30)
    made.place(A, Place(0, "m"))
    made.place(B, Place(5, "m"))
    assert start(made, 0.0) == [B]
    assert made.due(10.0) == float("inf"), "it is told when that has ended"
    stop(made, B, 20.0)
    assert start(made, 20.0) == []
    assert made.due(20.0) == 50.0
    assert start(made, 49.9) == []
    assert "idle_after" in made.waits_for(A, 49.9)
    assert start(made, 50.0) == [A]


def test_an_idle_task_that_runs_does_not_hold_up_another():
    made = board(idle_after=30)
    made.place(A, Place(0, "m"))
    made.place(B, Place(0, "m"))
    assert start(made, 0.0) == [A, B], "nothing has run yet"


def test_without_the_setting_they_are_the_lowest_priority():
    made = board()
    made.place(A, Place(0, "m"))
    made.place(B, Place(5, "m"))
    assert start(made) == [B, A]


@pytest.mark.parametrize("policy", POLICIES)
def test_what_is_remembered_of_those_that_run_does_not_grow_with_their_conversations(policy):
    made = board(policy, slots=300, workers=300, reserve=[{"priority": "high", "slots": 5}])
    for number in range(10, 400):
        made.place(task_id(number), Place(5, "m", conversation=number, tenant=f"t{number}"))
    assert len(start(made)) == 295
    (rule,) = made._policy._reserve._rules
    (there,) = rule.there.values()
    assert (there.tasks, there.kinds) == (295, {("m", ""): 295})


def test_slots_of_a_model_are_counted_by_all_its_names_and_by_its_options():
    box = BackendSlots("box", 9, "measured", max_models=3)
    config = to_config({"scheduler": {"reserve": RESERVE}})
    fleet = Fleet([box])
    reserve = Reserve(config.scheduler.reserve, fleet)
    box.note_facts(BackendFacts(digests={"m": "same", "copy": "same"}, loaded=()), 0.0)
    for number in range(2):
        reserve.started(Place(5, "m", load="num_ctx=1", conversation=number), box)
    for load in ("num_ctx=1", "num_ctx=2"):
        box.residency.group(box.key(Place(5, "m", load=load))).concurrency.restore(3, 3, 0.0)
    copy = Place(5, "copy:latest", load="num_ctx=1")
    assert box.serves(copy) == 3
    assert reserve.denies(box, copy), "two of its three slots are those of lower tasks"
    assert not reserve.denies(box, Place(5, "m", load="num_ctx=2"))
    assert not reserve.denies(box, Place(5, "other", load="num_ctx=1"))
    assert not reserve.denies(box, Place(10, "m", load="num_ctx=1"))
    reserve.ended(Place(5, "m", load="num_ctx=1"), box)
    assert not reserve.denies(box, copy)

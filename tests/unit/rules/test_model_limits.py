"""A backend may have a limit for each model, beside the one for all its tasks."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oq.rules.board import Board
from oq.rules.fleet import Fleet
from oq.rules.model_limits import ModelLimits
from oq.rules.place import Place
from oq.rules.policies import POLICIES
from oq.rules.shown_slots import LIMITED, at_once, slots_of
from oq.rules.slots import BackendSlots
from oq.words.config import to_config
from oq.words.messages import Ended, Recall
from oq.words.views import BackendFacts, Slots
from tests.support.builders import task_id

A, B, C, D, E, F, G = (task_id(n) for n in range(1, 8))
BIG, SMALL, OTHER = "big:70b", "small", "other"
ONE_BIG = {BIG: 1}


def board(policy: str, *backends: BackendSlots, preempts: int | None = None, **scheduler) -> Board:
    config = to_config({"scheduler": {"affinity": policy == "affinity"} | scheduler})
    fleet = Fleet(backends)
    made = POLICIES[policy](fleet, config.scheduler, config.fairness)
    return Board(99, fleet, made, paused=False, preempts=preempts)


def place(made: Board, *tasks: tuple[str, str], priority: int = 5) -> None:
    for task, model in tasks:
        made.place(task, Place(priority, model))


def started(made: Board, now: float = 0.0) -> list[str]:
    return [job.task_id for job in made.starts(now)]


def stop(made: Board, task: str, now: float = 0.0) -> None:
    made.end(task)
    made.free(task, now)


def test_the_first_name_that_fits_counts():
    limits = ModelLimits({"small:7b": "auto", "small*": 3, "o?": 2, "a/b": 5})
    found = [limits.of(one) for one in ("small:7b", "small", "small:8b", "o1", "o12", "a/b:latest")]
    assert found == [None, 3, 3, 2, None, 5]


def test_a_pattern_gives_each_model_that_it_fits_so_many():
    limits = ModelLimits({"*": 1})
    limits.start(A, "x")
    assert [limits.reached(one) for one in ("x", "x:latest", "y")] == [True, True, False]
    limits.end(A)
    limits.end(A)
    assert not limits.reached("x")
    assert limits.running == {}


@pytest.mark.parametrize("policy", POLICIES)
def test_tasks_of_other_models_pass_one_that_waits_for_the_limit_of_its_model(policy):
    made = board(policy, BackendSlots("box", 3, model_limits=ONE_BIG))
    place(made, (A, BIG), (B, BIG), (C, BIG), (D, SMALL), (E, SMALL), (F, SMALL))
    assert started(made) == [A, D, E]
    assert made.waits_for(B, 0.0) == (
        "the only slot for big:70b on box is taken (backends[].model_limits)"
    )
    assert made.waits_for(F, 0.0) == "all slots of box for small are taken"
    assert (made.position(B), made.position(F)) == (1, 3), "the line is as it was"
    stop(made, D)
    assert started(made) == [F]
    stop(made, A)
    assert started(made) == [B], "in the order of submission"
    stop(made, B)
    assert started(made) == [C]


@pytest.mark.parametrize("policy", POLICIES)
def test_a_lower_priority_passes_too_and_waits_for_its_turn_where_the_slot_is_wanted(policy):
    made = board(policy, BackendSlots("box", 2, model_limits=ONE_BIG))
    place(made, (A, BIG), (B, BIG), priority=15)
    place(made, (C, SMALL), (D, SMALL), priority=1)
    assert started(made) == [A, C]
    stop(made, A)
    assert started(made) == [B], "the slot that A had is for the next of its priority"
    stop(made, B)
    assert started(made) == [D]


def test_the_limit_is_for_all_tasks_of_a_model_whatever_their_options():
    made = board("fifo", BackendSlots("box", 9, "measured", max_models=4, model_limits={"x": 1}))
    made.place(A, Place(5, "x", load="num_ctx=1"))
    made.place(B, Place(5, "x:latest", load="num_ctx=2"))
    assert started(made) == [A]
    made.note_facts("box", BackendFacts(loaded=("x",)), 1.0)
    assert started(made, 9.0) == []
    assert "the only slot for x on box" in (made.waits_for(B, 9.0) or "")
    stop(made, A, 10.0)
    assert started(made, 10.0) == [B]


@pytest.mark.parametrize("policy", POLICIES)
def test_where_one_backend_has_as_many_as_it_may_another_one_gets_the_next(policy):
    limited = BackendSlots("one", 2, model_limits={"big*": 2})
    other = BackendSlots("two", 1, model_limits=ONE_BIG)
    made = board(policy, limited, other)
    for backend in ("one", "two"):
        made.note_facts(backend, BackendFacts(models=(BIG, SMALL)), 0.0)
    place(made, (A, BIG), (B, BIG), (C, BIG), (D, BIG))
    assert started(made) == [A, B, C]
    assert (limited.running, other.running) == (2, 1)
    assert made.waits_for(D, 0.0) == (
        "all 2 slots for big:70b on one are taken (backends[].model_limits);"
        " the only slot for big:70b on two is taken (backends[].model_limits)"
    )
    place(made, (E, SMALL))
    stop(made, A)
    assert started(made) == [D]
    stop(made, C)
    assert started(made) == [E]


def test_a_reserve_keeps_some_of_the_slots_of_a_limit_too():
    reserve = [{"priority": "high", "slots": 1}]
    made = board("fifo", BackendSlots("box", 9, model_limits={"x": 2}), reserve=reserve)
    place(made, (A, "x"), (B, "x"), (C, "y"), (D, "y"), (E, "y"))
    assert started(made) == [A, C, D, E], "the reserve of x is counted among its own two slots"
    assert "scheduler.reserve" in (made.waits_for(B, 0.0) or "")
    place(made, (F, "x:latest"), priority=10)
    assert started(made) == [F]
    stop(made, A)
    stop(made, F)
    assert started(made) == [B]


def test_a_critical_task_has_one_of_its_own_model_go_back_and_no_other():
    made = board("fifo", BackendSlots("box", 9, model_limits=ONE_BIG), preempts=3)
    place(made, (A, BIG), (B, SMALL), priority=1)
    assert started(made) == [A, B]
    place(made, (C, BIG), priority=15)
    assert started(made) == []
    assert made.recalls(0.0) == [Recall(A, answered=True)], "B has begun last, and is of no use"
    assert made.recalls(0.0) == []
    made.place(A, Place(1, BIG))
    made.free(A, 0.0, Ended())
    assert started(made) == [C]


@pytest.mark.parametrize("workers", [99, 4])
def test_no_more_go_back_for_critical_tasks_than_the_limit_of_their_model_lets_start(workers):
    """One may start beside the one that runs, and four wait."""
    config = to_config({})
    fleet = Fleet([BackendSlots("box", 4 if workers > 4 else 9, model_limits={BIG: 2})])
    policy = POLICIES["fifo"](fleet, config.scheduler, config.fairness)
    made = Board(workers, fleet, policy, paused=False, preempts=3)
    place(made, (A, BIG), priority=5)
    place(made, (B, SMALL), (C, SMALL), (D, SMALL), priority=1)
    assert started(made) == [A, B, C, D]
    place(made, *((task_id(number), BIG) for number in range(20, 24)), priority=15)
    assert started(made) == []
    assert made.recalls(0.0) == [Recall(D, answered=True)]
    assert made.recalls(0.0) == [], "the others wait for their model"
    made.place(D, Place(1, SMALL))
    made.free(D, 0.0, Ended())
    assert started(made) == [task_id(20)]
    assert made.recalls(0.0) == []
    stop(made, A)
    assert started(made) == [task_id(21)]


def test_a_critical_task_preempts_nothing_where_the_limit_is_taken_by_others():
    made = board("fifo", BackendSlots("box", 9, model_limits=ONE_BIG), preempts=3)
    place(made, (A, BIG), priority=5)
    place(made, (B, SMALL), priority=1)
    assert started(made) == [A, B]
    place(made, (C, BIG), priority=15)
    assert (started(made), made.recalls(0.0)) == ([], [])


@pytest.mark.parametrize(("limits", "called"), [({"*": 2}, [C]), ({BIG: 3, SMALL: 1}, [])])
def test_one_that_waits_inside_goes_back_for_one_that_waits_for_that_limit(limits, called):
    """C was sent to see whether the backend serves one more at once. It counts for the limit of its
    model, and for no other one.
    """
    box = BackendSlots("box", 9, "measured", max_models=2, model_limits=limits)
    made = board("fifo", box)
    made.note_facts("box", BackendFacts(loaded=(BIG, SMALL)), 0.0)
    box.residency.group((BIG, "")).concurrency.restarted(0.0)
    place(made, (A, BIG), (B, SMALL), (C, BIG))
    assert [*started(made, 0.0), *started(made, 1.0)] == [A, B, C]
    place(made, (D, BIG if called else SMALL), priority=15)
    assert started(made, 2.0) == []
    assert [one.task_id for one in made.recalls(2.0)] == called


def test_those_that_wait_for_a_limit_do_not_use_up_the_bound_of_affinity():
    """B is the oldest for long, and does not start. C, behind it, is passed over no longer than
    that for it.
    """
    box = BackendSlots("box", 9, max_models=2, model_limits=ONE_BIG)
    made = board("affinity", box, max_bypass=30)
    made.note_facts("box", BackendFacts(loaded=(BIG, SMALL)), 0.0)
    place(made, (A, BIG), (B, BIG), (C, OTHER), (D, SMALL), (E, SMALL), (F, SMALL))
    box.take("runs", Place(5, SMALL), 0.0)
    assert started(made, 0.0) == [A, D, E, F]
    place(made, (G, SMALL))
    assert made.waits_for(C, 31.0) is not None
    assert started(made, 31.0) == [], "C has waited for long enough"
    for task in (D, E, F):
        stop(made, task, 32.0)
    box.give_back("runs", 32.0)
    assert started(made, 32.0) == [C]


def test_a_limit_is_shown_as_set():
    box = BackendSlots("box", 8, model_limits={"big*": 1, "small": 2})
    made = board("fifo", box)
    assert slots_of(box) == ()
    place(made, (A, BIG), (B, SMALL), (C, OTHER))
    started(made)
    assert slots_of(box) == (
        Slots(1, "set", LIMITED, 1, BIG), Slots(2, "set", LIMITED, 1, SMALL),
    )  # fmt: skip
    assert at_once(box) == 8


def test_a_limit_is_shown_in_place_of_what_was_learnt_if_it_is_lower():
    limits = {SMALL: 3, OTHER: 1}
    box = BackendSlots("box", 8, "told", max_models=3, model_limits=limits)
    made = board("fifo", box)
    made.note_facts("box", BackendFacts(slots=2, loaded=(SMALL, OTHER)), 0.0)
    assert sorted((one.model, one.slots, one.source) for one in slots_of(box)) == [
        (OTHER, 1, "set"), (SMALL, 2, "told"),
    ]  # fmt: skip
    assert at_once(box) == 3


@pytest.mark.parametrize("policy", POLICIES)
@given(
    sizes=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    limit=st.integers(1, 3),
    steps=st.lists(
        st.one_of(
            st.tuples(
                st.just("add"), st.sampled_from([BIG, SMALL, OTHER]), st.sampled_from([1, 5])
            ),
            st.tuples(st.just("stop"), st.integers(0, 9), st.just(0)),
        ),
        max_size=40,
    ),
)
def test_no_model_has_more_than_its_limit_and_no_slot_is_left_that_a_task_could_have(
    policy, sizes, limit, steps
):
    backends = [
        BackendSlots(f"b{n}", size, models=["*"], model_limits={BIG: limit, "small*": "auto"})
        for n, size in enumerate(sizes)
    ]
    made = board(policy, *backends)
    running: dict[str, tuple[str, str, int]] = {}
    waiting: dict[str, tuple[str, int]] = {}
    for number, (what, which, priority) in enumerate(steps):
        if what == "add":
            waiting[task_id(number)] = which, priority
            made.place(task_id(number), Place(priority, which))
        elif running:
            task = sorted(running)[which % len(running)]
            del running[task]
            stop(made, task)
        for job in made.starts(0.0):
            model, priority = waiting.pop(job.task_id)
            running[job.task_id] = job.backend, model, priority
            before = [one for one, kind in waiting.items() if kind == (model, priority)]
            assert all(one > job.task_id for one in before), "in the order of submission"
        there = Counter((backend, model) for backend, model, _ in running.values())
        for backend in backends:
            assert there[backend.name, BIG] <= limit
            assert backend.running <= backend.limit
            free = backend.running < backend.limit
            assert not (free and any(model != BIG for model, _ in waiting.values()))
            assert not (free and there[backend.name, BIG] < limit and waiting)

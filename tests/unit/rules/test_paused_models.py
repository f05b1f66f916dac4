"""A model can be paused: none of its tasks starts then, and those behind them do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oq.rules.board import Board
from oq.rules.fleet import Fleet
from oq.rules.place import Place
from oq.rules.policies import POLICIES
from oq.rules.slots import BackendSlots
from oq.words.config import SchedulerConfig
from oq.words.views import BackendFacts
from tests.support.builders import task_id

A, B, C, D = (task_id(n) for n in range(1, 5))
MODELS = ("x", "y:latest", "z:7b")


def board(policy: str, *limits: int, memory: int | None = None) -> Board:
    """With backends that have all models; with `memory`, room for so many of them at once."""
    source = "set" if memory is None else "measured"
    fleet = Fleet(
        [BackendSlots(f"b{n}", limit, source, max_models=memory) for n, limit in enumerate(limits)]
    )
    made = Board(99, fleet, POLICIES[policy](fleet, SchedulerConfig()), paused=False)
    for backend in fleet if fleet.several else ():
        made.note_facts(backend.name, BackendFacts(models=MODELS), 0.0)
    return made


def started(made: Board, now: float = 0.0) -> list[str]:
    return [job.task_id for job in made.starts(now)]


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("limits", [(4,), (2, 2)])
def test_those_behind_a_paused_model_start_and_its_own_do_once_it_goes_on(policy, limits):
    made = board(policy, *limits)
    for task, model in ((A, "x:latest"), (B, "y"), (C, "x"), (D, "z:7b")):
        made.place(task, Place(5, model))
    made.pause_model("x", paused=True)
    assert started(made) == [B, D]
    assert made.waits_for(A, 0.0) == made.waits_for(C, 0.0)
    assert made.waits_for(C, 0.0) == "x is paused"
    assert (made.position(A), made.position(C)) == (1, 2), "the line is as it was"
    made.pause_model("x", paused=False)
    assert made.waits_for(A, 0.0) is None
    assert started(made) == [A, C]


@pytest.mark.parametrize("policy", POLICIES)
def test_a_paused_model_of_a_higher_priority_keeps_no_backend(policy):
    made = board(policy, 1)
    made.place(A, Place(90, "x"))
    made.place(B, Place(1, "y"))
    made.pause_model("x", paused=True)
    assert started(made) == [B]
    assert started(made) == []
    made.free(B, 0.0)
    made.pause_model("x", paused=False)
    assert started(made) == [A]


def test_a_paused_task_does_not_use_up_the_bound_of_affinity():
    made = board("affinity", 1, memory=1)
    made.note_facts("b0", BackendFacts(loaded=("y",)), 0.0)
    made.place(A, Place(5, "x"))
    made.pause_model("x", paused=True)
    made.place(B, Place(5, "z:7b"))
    made.place(C, Place(5, "y"))
    assert started(made, 100.0) == [C], "B waits since now, and what A waited does not count"


@pytest.mark.parametrize("policy", POLICIES)
@given(
    limits=st.lists(st.integers(1, 3), min_size=1, max_size=3),
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("add"), st.sampled_from(MODELS), st.integers(1, 3)),
            st.tuples(st.sampled_from(["pause", "resume"]), st.sampled_from("xyz")),
            st.tuples(st.just("end"), st.integers(0, 9)),
        ),
        max_size=40,
    ),
)
def test_no_paused_task_starts_and_no_slot_stays_free_for_another(policy, limits, steps):
    made = board(policy, *limits)
    names = {"x": "x", "y": "y", "z": "z:7b"}
    waiting: dict[str, str] = {}
    running: list[str] = []
    for number, step in enumerate(steps):
        match step:
            case "add", model, priority:
                waiting[task_id(number)] = model.removesuffix(":latest")
                made.place(task_id(number), Place(priority, model))
            case "end", which if running:
                ended = running.pop(which % len(running))
                made.end(ended)
                made.free(ended, 0.0)
            case ("pause" | "resume") as verb, name:
                made.pause_model(names[name], paused=verb == "pause")
        for task in started(made):
            assert waiting.pop(task) not in made.paused_models
            running.append(task)
        left = [model for model in waiting.values() if model not in made.paused_models]
        assert not left or len(running) == sum(limits)
        counted = made.by_model(0.0)
        assert sum(each.waiting for each in counted.values()) == len(waiting)
        assert sum(each.running for each in counted.values()) == len(running)

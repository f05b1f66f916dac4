"""Why a task waits, in words: of several reasons the one that lasts."""

from __future__ import annotations

from oq.rules.board import Board
from oq.rules.fleet import Fleet
from oq.rules.place import Place
from oq.rules.policies import POLICIES
from oq.rules.slots import BackendSlots
from oq.words.config import to_config
from tests.support.builders import at, task_id

A, B, C = (task_id(n) for n in range(1, 4))


def board(*backends: BackendSlots, workers: int = 9, **sections) -> Board:
    config = to_config(sections)
    fleet = Fleet(backends)
    policy = POLICIES["fifo"](fleet, config.scheduler, config.fairness)
    return Board(workers, fleet, policy, paused=False)


def start(made: Board, now: float = 0.0) -> list[str]:
    return [job.task_id for job in made.starts(now)]


def test_that_its_backend_is_down_is_said_although_all_workers_are_taken():
    one, two = BackendSlots("one", 4, models=["a"]), BackendSlots("two", 4, models=["b"])
    made = board(one, two, workers=1)
    made.place(A, Place(5, "a"))
    assert start(made) == [A]
    made.place(B, Place(5, "b"))
    assert made.waits_for(B, 0.0) == "all 1 workers are taken (queue.max_workers)"
    made.mark_down("two", "gone", at(0))
    assert (made.waits_for(B, 0.0) or "").startswith("only two has b: two is down since")


def test_that_its_model_is_paused_is_said_of_an_idle_task_and_without_a_free_worker():
    made = board(BackendSlots("box", 4), workers=1, scheduler={"idle_after": 30})
    made.place(A, Place(5, "a"))
    assert start(made) == [A]
    made.place(B, Place(0, "b"))
    made.pause_model("b", paused=True)
    assert made.waits_for(B, 0.0) == "b is paused"
    made.end(A)
    made.free(A, 1.0)
    assert made.waits_for(B, 2.0) == "b is paused"
    made.pause_model("b", paused=False)
    assert "idle_after" in (made.waits_for(B, 2.0) or "")


def test_the_oldest_task_of_a_tenant_whose_turn_is_not_next_has_others_before_it():
    box = BackendSlots("box", 4)
    made = board(box, fairness={"enabled": True, "quantum": 0})
    made.place(A, Place(5, "m", tenant="ann"))
    assert start(made) == [A]
    made.place(B, Place(5, "m", tenant="ann"))
    made.place(C, Place(5, "m", tenant="bob"))
    assert made.position(B) == 1
    assert made.waits_for(B, 0.0) == "tasks before it"


def test_a_backend_that_is_asked_because_none_has_the_model_is_not_said_to_have_it():
    one, cloud = (
        BackendSlots("one", 1, models=["a"]),
        BackendSlots("cloud", 1, models=["b"], tier=1),
    )
    made = board(one, cloud)
    made.place(A, Place(5, "a"))
    made.place(B, Place(5, "nobody's"))
    assert start(made) == [A]
    assert made.waits_for(B, 0.0) == "all slots of one for nobody's are taken"

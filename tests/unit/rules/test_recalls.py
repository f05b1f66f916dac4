"""Preemption: which running tasks go back to their places for a critical one."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from oq.rules.board import Board
from oq.rules.fleet import Fleet
from oq.rules.place import Place
from oq.rules.policies import POLICIES
from oq.rules.slots import BackendSlots
from oq.words.config import SchedulerConfig
from oq.words.messages import Ended, Recall
from oq.words.views import BackendFacts
from tests.support.builders import task_id

LOW, NORMAL, CRITICAL = 1, 5, 15
A, B, C, D, E = (task_id(n) for n in range(1, 6))


class Story:
    def __init__(self, *limits: int, most: int | None = 3, workers: int = 9, **backend) -> None:
        self.fleet = Fleet(
            [BackendSlots(f"b{n}", limit, **backend) for n, limit in enumerate(limits)]
        )
        policy = POLICIES["fifo"](self.fleet, SchedulerConfig())
        self.board = Board(workers, self.fleet, policy, paused=False, preempts=most)
        self.now = 0.0

    def add(self, task: str, priority: int, model: str = "m") -> None:
        self.board.place(task, Place(priority, model))

    def starts(self) -> list[str]:
        return [job.task_id for job in self.board.starts(self.now)]

    def preempts(self) -> list[str]:
        recalls = self.board.recalls(0.0)
        assert all(recall == Recall(recall.task_id, answered=True) for recall in recalls)
        return [recall.task_id for recall in recalls]

    def goes_back(self, task: str, priority: int = LOW, model: str = "m") -> None:
        self.board.place(task, Place(priority, model))
        self.board.free(task, 0.0, Ended())


def test_a_critical_task_takes_the_slot_of_the_low_one_that_began_last():
    story = Story(3)
    for task, priority in ((A, LOW), (B, LOW), (C, NORMAL)):
        story.add(task, priority)
    assert story.starts() == [C, A, B]
    story.add(D, CRITICAL)
    assert story.starts() == []
    assert story.preempts() == [B]
    assert story.preempts() == [], "one is enough"
    story.goes_back(B)
    assert story.starts() == [D]
    assert story.board.position(B) == 1


def test_the_lowest_priority_goes_first():
    story = Story(2)
    story.add(A, 0)
    story.add(B, LOW)
    assert story.starts() == [B, A]
    story.add(C, CRITICAL)
    assert story.preempts() == [A]


@pytest.mark.parametrize(("low", "critical"), [(2, CRITICAL), (LOW, CRITICAL - 1)])
def test_only_low_tasks_go_and_only_for_critical_ones(low, critical):
    story = Story(1)
    story.add(A, low)
    story.starts()
    story.add(B, critical)
    assert story.preempts() == []


def test_nothing_is_preempted_unless_it_is_turned_on():
    story = Story(1, most=None)
    story.add(A, LOW)
    story.starts()
    story.add(B, CRITICAL)
    assert story.preempts() == []


def test_nothing_is_preempted_where_a_slot_is_free():
    story = Story(1, 1)
    story.add(A, LOW)
    story.starts()
    story.add(B, CRITICAL)
    assert story.starts() == [B]
    assert story.preempts() == []


def test_two_critical_tasks_take_two_slots():
    story = Story(3)
    for task in (A, B, C):
        story.add(task, LOW)
    story.starts()
    story.add(D, CRITICAL)
    assert story.preempts() == [C]
    story.add(E, CRITICAL)
    assert story.preempts() == [B]


def test_a_task_whose_answer_somebody_has_seen_stays_and_another_goes():
    story = Story(2)
    story.add(A, LOW)
    story.add(B, LOW)
    story.starts()
    story.add(C, CRITICAL)
    assert story.preempts() == [B]
    story.board.stay(B)
    assert story.preempts() == [A]


def test_a_task_is_preempted_so_many_times_and_then_it_runs():
    story = Story(1, most=2)
    story.add(A, LOW)
    for n in range(2):
        assert story.starts() == [A]
        critical = task_id(10 + n)
        story.add(critical, CRITICAL)
        assert story.preempts() == [A]
        story.goes_back(A)
        assert story.starts() == [critical]
        story.board.end(critical)
        story.board.free(critical, 0.0)
    assert story.starts() == [A]
    story.add(B, CRITICAL)
    assert story.preempts() == []


def test_a_task_of_another_backend_makes_no_room():
    story = Story(1, 1, models=None)
    for slots, models in zip(story.fleet, (("a",), ("b",)), strict=True):
        slots.note_facts(BackendFacts(models=models), 0.0)
    story.fleet.changed()
    story.add(A, LOW, "a")
    story.add(B, NORMAL, "b")
    assert sorted(story.starts()) == [A, B]
    story.add(C, CRITICAL, "b")
    assert story.preempts() == []
    story.add(D, CRITICAL, "a")
    assert story.preempts() == [A]


def test_where_all_workers_are_taken_any_of_them_makes_room():
    story = Story(2, 2, workers=1)
    story.add(A, LOW, "a")
    story.starts()
    story.add(B, CRITICAL, "b")
    assert story.preempts() == [A]


@pytest.mark.parametrize("priority", [LOW, NORMAL])
def test_a_model_leaves_the_memory_only_if_all_that_run_there_may_go(priority):
    story = Story(64, source="guessed", max_models=1)
    story.board.note_facts("b0", BackendFacts(slots=2, loaded=()), 0.0)
    story.add(A, LOW, "a")
    story.add(B, priority, "a")
    first = A if priority == LOW else B
    assert story.starts() == [first]
    story.board.answered(first, 0.0)
    assert len(story.starts()) == 1
    story.add(C, CRITICAL, "c")
    assert sorted(story.preempts()) == ([A, B] if priority == LOW else [])
    if priority == LOW:
        story.goes_back(A, model="a")
        story.goes_back(B, model="a")
        assert story.starts() == [C]


def test_none_goes_where_another_model_has_to_leave_and_one_that_stays_has_it():
    story = Story(2, max_models=1)
    story.add(A, NORMAL, "a")
    story.add(B, LOW, "a")
    assert story.starts() == [A, B], "all slots are taken"
    story.board.answered(A, 0.0)
    story.add(C, CRITICAL, "c")
    assert story.starts() == []
    assert story.preempts() == []
    assert story.board.waits_for(C, 0.0) == "b0: a → c, 2 of a still running"


def with_models(story: Story, *models: tuple[str, ...]) -> None:
    for slots, names in zip(story.fleet, models, strict=True):
        slots.note_facts(BackendFacts(models=names), 0.0)
    story.fleet.changed()


def test_nothing_is_preempted_for_a_task_of_a_paused_model():
    story = Story(2, workers=1)
    story.add(A, LOW, "a")
    story.starts()
    story.add(B, CRITICAL, "b")
    story.board.pause_model("b", paused=True)
    assert story.preempts() == [], "all workers are taken, and it could not start on a free one"
    story.board.pause_model("b", paused=False)
    assert story.preempts() == [A]


def test_nothing_is_preempted_for_a_task_whose_backend_is_down():
    story = Story(2, 2, workers=1)
    with_models(story, ("a",), ("b",))
    story.board.mark_down("b1", "refused", datetime(2026, 1, 1, tzinfo=UTC))
    story.add(A, LOW, "a")
    story.starts()
    story.add(B, CRITICAL, "b")
    assert story.preempts() == []


def test_where_workers_and_slots_are_taken_the_one_goes_that_has_both():
    story = Story(1, 1, workers=2)
    with_models(story, ("a",), ("b",))
    story.add(A, LOW, "b")
    assert story.starts() == [A]
    story.add(B, LOW, "a")
    assert story.starts() == [B]
    story.add(C, CRITICAL, "b")
    assert story.preempts() == [A], "B began last, but its slot is of no use"


def test_one_goes_for_one_though_others_before_it_cannot_start():
    story = Story(3)
    for task in (A, B, C):
        story.add(task, LOW, "a")
    story.starts()
    story.board.pause_model("b", paused=True)
    story.add(D, CRITICAL, "b")
    story.add(E, CRITICAL, "a")
    assert story.preempts() == [C]
    assert story.preempts() == []


def test_the_slot_of_one_that_went_for_a_cancelled_task_is_for_the_next():
    story = Story(2)
    story.add(A, LOW)
    story.add(B, LOW)
    story.starts()
    story.add(C, CRITICAL)
    assert story.preempts() == [B]
    story.board.settle(C)
    story.board.end(C)
    story.add(D, CRITICAL)
    assert story.preempts() == []
    story.goes_back(B)
    assert story.starts() == [D]


def test_each_slot_of_those_that_went_for_cancelled_tasks_is_for_one():
    story = Story(2)
    story.add(A, LOW)
    story.add(B, LOW)
    story.starts()
    story.add(C, CRITICAL)
    assert story.preempts() == [B]
    story.board.settle(C)
    story.board.end(C)
    story.add(D, CRITICAL)
    story.add(E, CRITICAL)
    assert story.preempts() == [A], "B goes for the first of them"

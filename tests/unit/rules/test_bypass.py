"""With affinity `max_bypass` counts the time for which a task is passed over, and no other."""

from __future__ import annotations

import pytest

from oq.rules.board import Board
from oq.rules.fleet import Fleet
from oq.rules.place import Place
from oq.rules.policies import POLICIES
from oq.rules.slots import BackendSlots
from oq.words.config import to_config
from oq.words.views import BackendFacts
from tests.support.builders import NOW, task_id

OLD, URGENT = 1, 2
BOUND = 30
ONE, OTHER = "num_ctx=1", "num_ctx=2"


class Story:
    """A box that holds two models, one of them with the option OTHER. It has two slots, and no more
    than one for a task of `big`. A task of `big` with the option ONE waits, and is passed over.
    """

    def __init__(self, limits: dict[str, int] | None = None) -> None:
        config = to_config({"scheduler": {"affinity": True, "max_bypass": BOUND}})
        self.box = BackendSlots("box", 2, "measured", max_models=2, model_limits=limits)
        fleet = Fleet([self.box])
        policy = POLICIES["affinity"](fleet, config.scheduler, config.fairness)
        self.board = Board(9, fleet, policy, paused=False)
        self.board.note_facts("box", BackendFacts(loaded=("small", "big")), 0.0)
        for model, load in (("small", ""), ("big", OTHER)):
            group = self.box.residency.group(self.box.key(Place(5, model, load=load)))
            group.concurrency.restore(2, 3, 0.0)
            self.box.residency._set(group, loaded=True)
        self.box.residency._set(self.box.residency.group(("big:latest", "")), loaded=False)
        self.number = 10
        self.small(2)
        assert self.starts(0.0) == [11, 12]
        self.add(OLD, "big", ONE)
        self.small(40)

    def add(self, number: int, model: str, load: str = "", priority: int = 5) -> None:
        self.board.place(task_id(number), Place(priority, model, load=load))

    def leaves(self, number: int) -> None:
        """Its user does not want it any more."""
        self.board.settle(task_id(number))
        self.board.end(task_id(number))

    def small(self, times: int) -> None:
        for _ in range(times):
            self.number += 1
            self.add(self.number, "small")

    def starts(self, now: float) -> list[int]:
        jobs = [*self.board.starts(now)]
        for job in jobs:
            self.board.answered(job.task_id, now)
        return [int(job.task_id[-4:], 16) for job in jobs]

    def ends(self, number: int, now: float) -> list[int]:
        """What starts then."""
        self.board.end(task_id(number))
        self.board.free(task_id(number), now)
        return self.starts(now)


def test_it_is_passed_over_for_no_longer():
    story = Story()
    assert story.ends(11, 1.0) == [13]
    assert story.ends(12, 29.0) == [14]
    assert story.ends(13, 31.0) == [OLD]


def test_what_it_waits_for_the_limit_of_its_model_does_not_count():
    """An urgent task of its model runs for 50 seconds."""
    story = Story({"big": 1})
    assert story.ends(11, 1.0) == [13], "it is passed over"
    story.add(URGENT, "big", OTHER, priority=15)
    assert story.ends(12, 5.0) == [URGENT]
    assert story.ends(13, 20.0) == [14]
    assert story.ends(URGENT, 55.0) == [15], "only 5 s of these count"
    assert story.ends(14, 79.0) == [16]
    assert story.ends(15, 81.0) == [OLD]


def test_what_it_waits_for_one_of_its_model_that_has_passed_it_over_counts():
    """Else others of its model could pass it for ever."""
    story = Story({"big": 1})
    for number in range(13, 53):
        story.leaves(number)
    for number in range(100, 103):
        story.add(number, "big", OTHER)
    story.leaves(OLD)
    assert story.ends(11, 0.0) == [100]
    story.add(OLD, "big", ONE)
    assert story.starts(0.0) == []
    assert story.ends(100, 1.0) == [101], "it is in memory"
    assert story.ends(101, 29.0) == [102]
    story.add(103, "big", OTHER)
    assert story.ends(102, 31.0) == [OLD]


@pytest.mark.parametrize("reason", ["paused", "down"])
def test_nor_does_what_it_waits_while_nobody_may_run_it(reason):
    story = Story()
    assert story.ends(11, 1.0) == [13]
    if reason == "paused":
        story.board.pause_model("big", paused=True)
    else:
        story.board.mark_down("box", "refused", NOW)
    assert story.starts(5.0) == []
    if reason == "paused":
        story.board.pause_model("big", paused=False)
    else:
        story.board.mark_up("box", 50.0)
        story.board.note_facts("box", BackendFacts(loaded=("small",)), 50.0)
    assert story.starts(50.0) == []
    assert story.ends(12, 55.0) == [14], "4 s before that count, and those after"
    assert story.ends(13, 74.0) == [15]
    assert story.ends(14, 76.0) == [OLD]


def test_of_tasks_that_are_gone_nothing_is_remembered():
    story = Story({"big": 1})
    story.ends(11, 1.0)
    assert OLD in [int(task[-4:], 16) for task in story.board._policy._bypass._waits]
    story.leaves(OLD)
    assert task_id(OLD) not in story.board._policy._bypass

"""What is remembered of backends that have no slot changes nothing of what starts, and of many
backends few are asked for each task.
"""

from __future__ import annotations

from typing import Any

import pytest

from oq.rules.board import Board
from oq.rules.fleet import Fleet
from oq.rules.place import Place
from oq.rules.placing import place_on
from oq.rules.policies import POLICIES
from oq.rules.room import Room
from oq.rules.slots import BackendSlots
from oq.words.config import to_config
from oq.words.messages import Busy
from oq.words.views import BackendFacts, SlotsSource
from tests.support.builders import at, task_id
from tests.unit.rules.test_few_and_many_kinds import Story
from tests.unit.rules.test_placing import asked as asked

A = Place(5, "a")
CONFIG = to_config({})
BACKENDS = 50


class Forgetful(dict[Any, float]):
    """It keeps nothing."""

    def __setitem__(self, key: Any, value: float) -> None:
        pass


class ForgetfulSet(set[Any]):
    def add(self, value: Any) -> None:
        pass


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("first", range(0, 200, 20))
def test_the_same_starts_if_it_is_not_remembered_who_has_no_slot(policy, first):
    for number in range(first, first + 20):
        remembered = Story(policy, number).run()
        story = Story(policy, number)
        for backend in story.board.backends:
            backend.known.taken, backend.known.draining = Forgetful(), ForgetfulSet()
        assert story.run() == remembered, number


def full_board(policy: str, source: SlotsSource) -> Board:
    """Each backend has one slot for the only model, which a task has, and many tasks wait."""
    boxes = [BackendSlots(f"box{number}", 1, source, models=["*"]) for number in range(BACKENDS)]
    fleet = Fleet(boxes)
    made = POLICIES[policy](fleet, CONFIG.scheduler, CONFIG.fairness)
    board = Board(2 * BACKENDS, fleet, made, paused=False)
    if source == "measured":
        for box in boxes:
            board.note_facts(box.name, BackendFacts(loaded=("a",)), 0.0)
    board.load((task_id(number), A) for number in range(20 * BACKENDS))
    assert len(list(board.starts(1.0))) == BACKENDS
    return board


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("source", ["set", "guessed", "measured"])
def test_of_many_backends_those_are_asked_to_which_something_has_happened(policy, source, asked):
    board = full_board(policy, source)
    for number in range(2 * BACKENDS):
        board.free(task_id(number), 2.0)
        asked.clear()
        [job] = board.starts(2.0)
        assert set(asked) == {job.backend}
        assert len(asked) <= 4


def test_one_that_goes_down_is_waited_for_no_longer():
    board = full_board("fifo", "set")
    boxes = board.backends
    assert list(board.starts(2.0)) == []
    assert place_on(boxes, A, 2.0) == (boxes[0], Room.TAKEN)
    board.mark_down("box0", "it does not answer", at(2.0))
    assert place_on(boxes, A, 2.0) == (boxes[1], Room.TAKEN)
    board.hold("box1", Busy("a full line"), 2.0, lambda times, seconds: 10.0)
    assert place_on(boxes, A, 2.0) == (boxes[2], Room.TAKEN)


def test_one_that_was_held_starts_tasks_when_that_is_over():
    board = full_board("fifo", "set")
    board.place(task_id(9_999), Place(5, "b"))  # not all are alike
    board.hold("box7", Busy("a full line"), 2.0, lambda times, seconds: 10.0)
    board.free(task_id(7), 2.0)
    assert list(board.starts(3.0)) == list(board.starts(11.0)) == []
    assert [job.backend for job in board.starts(12.0)] == ["box7"]

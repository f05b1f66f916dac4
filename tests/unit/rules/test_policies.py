"""What the board and its policy owe each other; the order of ``fifo`` is in test_board.py."""

from __future__ import annotations

from typing import get_args

import pytest

from oq.rules.board import Board
from oq.rules.fifo import Fifo
from oq.rules.place import Place
from oq.rules.policies import POLICIES
from oq.rules.slots import BackendSlots
from oq.words.config import Config, PolicyName, to_config
from oq.words.errors import InvalidConfig
from oq.words.messages import Job
from tests.support.builders import task_id

A, B = task_id(1), task_id(2)


class Lifo(Fifo):
    """The youngest first, on the last backend; and it wants to know what time it is."""

    def next(self, now: float) -> tuple[str, str] | None:
        if now < 10 or not len(self):
            return None
        *_, last = self.in_line()
        self.remove(last)
        return last, self._backends[-1].name


class Blind(Fifo):
    """It does not look whether a backend has a slot."""

    def next(self, now: float) -> tuple[str, str] | None:
        return (self._ready.pop(), "b0") if self._ready else None


def board(policy: type[Fifo], *tasks: str, limits: tuple[int, ...] = (2,)) -> Board:
    backends = [BackendSlots(f"b{n}", limit) for n, limit in enumerate(limits)]
    made = Board(9, backends, policy(backends), paused=False)
    made.load((task, Place(5, "m")) for task in tasks)
    return made


def test_the_policy_chooses_the_task_and_the_backend_and_knows_the_time():
    made = board(Lifo, A, B, limits=(2, 2))
    assert made.next(now=9.0) is None
    assert made.next(now=10.0) == Job(B, "b1")
    assert [one.running for one in made.backends] == [0, 1]


def test_a_policy_that_gives_a_task_to_a_full_backend_is_caught():
    made = board(Blind, A, B, limits=(1,))
    made.next(0.0)
    with pytest.raises(AssertionError, match="no slot"):
        made.next(0.0)


def test_a_slot_that_is_given_back_twice_is_caught():
    slots = BackendSlots("b0", 1)
    slots.take()
    slots.give_back()
    with pytest.raises(AssertionError, match="twice"):
        slots.give_back()


def test_each_name_that_the_settings_take_is_a_policy():
    assert set(get_args(PolicyName)) == set(POLICIES)
    assert Config().scheduler.policy in POLICIES


def test_a_policy_that_does_not_exist_is_refused_by_name():
    with pytest.raises(InvalidConfig, match=r"scheduler\.policy.*lottery"):
        to_config({"scheduler": {"policy": "lottery"}})

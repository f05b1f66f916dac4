"""A backend says how many it serves at once: no more are sent, and fewer if that is better."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import pytest

from oq.rules.concurrency import TRY_AGAIN, Concurrency
from oq.rules.known_at_first import GUESSED, MOST_GUESSED
from oq.rules.learnt import recall, record_of
from oq.rules.slots import BackendSlots
from oq.words.views import BackendFacts
from tests.unit.rules.shared_speed import SharedSpeed, scales_to, speeds_of

RIGHT = 0.97
"""The share of the best number's tokens a second, from which a number is right."""
SEEN, STAYS, MOSTLY = 20, 16, 0.8
"""A number is known if it is used after one of so many tasks, and then mostly, of so many more."""
FEWER_ARE_BETTER = {
    "one is best": (160, 115, 131, 147),
    "two are best": (100, 150, 120, 110),
    "fewer with each": (100, 80, 64, 51),
    "four as fast as one": (100, 76, 88, 100),
    "taking turns": (100, 100, 100, 100),
}
ALL_ARE_BETTER = {
    "each adds as much": (1, 2, 3, 4),
    "each adds less": (10, 17, 22, 25),
    "the first adds little": (10, 11, 14, 18),
    "the last adds most": (58, 60, 55, 74),
}
HOW = ["first byte", "whole"]


def told(number: int) -> Concurrency:
    """What is known of a backend that has said its number before it got a task."""
    known = Concurrency(MOST_GUESSED, GUESSED)
    known.tell(number)
    return known


def is_right(speeds: Sequence[float], number: int) -> bool:
    return speeds[number - 1] >= RIGHT * max(speeds)


@pytest.mark.parametrize("noise", [0.0, 0.05])
@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("shape", FEWER_ARE_BETTER)
def test_that_fewer_are_better_is_known_within_20_tasks(shape, how, noise):
    speeds = FEWER_ARE_BETTER[shape]
    best = speeds.index(max(speeds)) + 1
    for seed in range(5):
        one = SharedSpeed(partial(speeds_of, speeds), told(4), how, seed, slots=4, noise=noise)
        one.run(SEEN + STAYS)
        near = [abs(number - best) <= 1 or is_right(speeds, number) for number in one.served]
        assert any(
            near[place] and sum(near[place:]) >= MOSTLY * len(near[place:]) for place in range(SEEN)
        ), (seed, one.served)
        one.run(60)
        right = [is_right(speeds, number) for number in one.served[-60:]]
        assert sum(right) >= 0.9 * len(right), (seed, one.served)
        assert one.most_at_once == 4


@pytest.mark.parametrize("noise", [0.0, 0.05])
@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("shape", ALL_ARE_BETTER)
def test_where_all_are_better_few_tasks_run_with_fewer(shape, how, noise):
    for seed in range(5):
        speed = partial(speeds_of, ALL_ARE_BETTER[shape])
        one = SharedSpeed(speed, told(4), how, seed, slots=4, noise=noise)
        one.run(300)
        assert sum(number < 4 for number in one.served) <= 8, (seed, one.served)
        assert set(one.served[SEEN:]) == {4}
        assert one.known.reason == "the backend says so"


@pytest.mark.parametrize("how", HOW)
def test_its_number_stays_where_fewer_get_hardly_more_done(how):
    one = SharedSpeed(partial(speeds_of, (59, 70, 59, 69)), told(4), how, slots=4)
    one.run(300)
    assert set(one.served[-200:]) == {4}


@pytest.mark.parametrize("how", HOW)
def test_numbers_near_two_that_were_tried_are_left_for_later(how):
    one = SharedSpeed(partial(speeds_of, FEWER_ARE_BETTER["two are best"]), told(4), how, slots=4)
    one.run(100)
    assert 3 not in one.served
    while one.now < 5 * TRY_AGAIN:
        one.step()
    assert {2, 3, 4} <= set(one.served[100:])
    assert one.known.served == 2


@pytest.mark.parametrize("how", HOW)
def test_numbers_far_from_two_that_were_tried_are_tried_at_once(how):
    speeds = (100, 180, 250, 300, 200, 150)
    one = SharedSpeed(partial(speeds_of, speeds), told(6), how, slots=6)
    one.run(80)
    assert one.known.served == 4


@pytest.mark.parametrize("how", [*HOW, "measured"])
@pytest.mark.parametrize("number", [2, 16])
def test_so_it_is_with_other_numbers(number, how):
    one = SharedSpeed(partial(scales_to, number), told(number), how, slots=number)
    one.run(300)
    assert sum(served < number for served in one.served) <= 3 * number / 2
    assert set(one.served[100:]) == {number}


def test_where_nobody_says_the_tokens_its_word_counts():
    one = SharedSpeed(
        partial(speeds_of, FEWER_ARE_BETTER["one is best"]), told(4), "silent", slots=4
    )
    one.run(300)
    assert set(one.served) == {4}


def test_a_task_without_tokens_ends_the_search():
    one = SharedSpeed(
        partial(speeds_of, FEWER_ARE_BETTER["one is best"]), told(4), "first byte", slots=4
    )
    while one.known.served == 4:
        one.step()
    one.how = "silent"
    one.run(8)
    assert one.known.served == 4


def test_it_may_say_another_number_while_tasks_run():
    one = SharedSpeed(partial(scales_to, 8), told(4), "first byte", slots=8)
    one.run(20)
    one.known.tell(8)
    one.run(40)
    assert one.known.served == one.most_at_once == 8
    one.known.tell(1)
    one.run(20)
    assert one.known.running <= 1


def test_with_one_there_is_nothing_to_learn():
    assert not told(1).learns


class Box:
    """A backend that tells its number, in front of an oq that is started anew now and then."""

    def __init__(self, shape: str) -> None:
        self.slots = BackendSlots("box", 64, "guessed")
        self.speed = partial(speeds_of, FEWER_ARE_BETTER[shape])

    def tell(self, number: int) -> None:
        self.slots.note_facts(BackendFacts(slots=number), 0.0)

    def restart(self) -> None:
        record = record_of(self.slots)
        self.slots = BackendSlots("box", 64, "guessed")
        recall(self.slots, record, 0.0)

    @property
    def known(self) -> Concurrency:
        assert self.slots.concurrency is not None
        return self.slots.concurrency

    def backend(self) -> SharedSpeed:
        return SharedSpeed(self.speed, self.known, "first byte", slots=self.known.most)


def test_what_was_found_is_known_after_a_restart():
    box = Box("one is best")
    box.tell(4)
    box.backend().run(60)
    box.restart()
    box.tell(4)
    assert box.known.reason == "it was so before oq was started"
    one = box.backend()
    one.run(20)
    assert set(one.served) == {1}


def test_after_a_restart_another_number_is_looked_at_anew():
    box = Box("one is best")
    box.tell(4)
    box.backend().run(60)
    box.restart()
    box.tell(3)
    assert box.known.served == 3
    box.backend().run(60)
    assert box.known.served == 1


def test_a_restart_during_the_search_is_no_find():
    box = Box("one is best")
    box.tell(4)
    one = box.backend()
    while box.known.served == 4:
        one.step()
    box.restart()
    box.tell(4)
    assert box.known.served == 4


@pytest.mark.parametrize("how", HOW)
def test_a_restart_of_the_backend_during_the_search_leaves_it_open(how):
    known = told(4)
    known.restarted(0.0)
    one = SharedSpeed(partial(speeds_of, FEWER_ARE_BETTER["one is best"]), known, how, slots=4)
    one.run(12)
    assert known.served < 4
    assert not known.found
    known.restarted(one.now)
    assert known.served == 4
    one.run(60)
    assert set(one.served[-20:]) == {1}

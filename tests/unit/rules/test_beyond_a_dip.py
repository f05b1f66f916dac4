"""`auto` finds a number that gets more done than one alone, though those between them get less.

Ollama on two processors has such a dip at two: they get a quarter less done than one, four about as
much as one, or more.
"""

from __future__ import annotations

from functools import partial

import pytest

from oq.rules.concurrency import RECALLED, TRY_AGAIN, Concurrency
from oq.rules.known_at_first import GUESSED
from oq.words.sample import Sample
from tests.unit.rules.shared_speed import SharedSpeed, speeds_of
from tests.unit.rules.test_best_number import MOST, auto

RIGHT = 0.97
"""The share of the best fixed number's tokens a second, from which a number is right."""
SOON, SEEN, MOSTLY = 20, 36, 0.8
"""A number is known if it is right after one of so many tasks, and then mostly, of so many."""
SHAPES = {
    "a dip": (138, 110, 125, 149),
    "a deep dip": (138, 80, 100, 149),
    "a slight dip": (138, 132, 136, 149),
    "a dip at 3": (138, 180, 150, 220),
    "a dip for nothing": (138, 110, 115, 120),
    "a dip, and as before": (138, 110, 125, 138),
    "fewer with each": (100, 80, 64, 51),
    "taking turns": (100,),
}
HOW = ["measured", "measured whole", "first byte", "whole"]
ALONE = SharedSpeed(partial(speeds_of, (1,)), Concurrency(1, learns=False), "measured").run(400)
"""Tokens a second of one alone."""


def fast(shape: str, slots: int | None, number: int) -> float:
    """The tokens a second of so many at once."""
    return speeds_of(SHAPES[shape], min(number, slots or number))


def is_right(shape: str, slots: int | None, number: int) -> bool:
    best = max(fast(shape, slots, each) for each in range(1, MOST))
    return fast(shape, slots, number) >= RIGHT * best


def backend(shape: str, how: str, slots: int | None, seed: int, noise: float) -> SharedSpeed:
    return SharedSpeed(partial(speeds_of, SHAPES[shape]), auto(how), how, seed, slots, noise)


@pytest.mark.parametrize("noise", [0.0, 0.05])
@pytest.mark.parametrize("how", ["measured", "measured whole"])
@pytest.mark.parametrize("slots", [None, 4, 2, 1])
@pytest.mark.parametrize("shape", SHAPES)
def test_where_it_is_measured_the_right_number_is_known_within_20_tasks(shape, slots, how, noise):
    for seed in range(3):
        one = backend(shape, how, slots, seed, noise)
        one.run(SEEN)
        right = [is_right(shape, slots, number) for number in one.served]
        known = next(
            place
            for place in range(SEEN)
            if right[place] and sum(right[place:]) >= MOSTLY * (SEEN - place)
        )
        assert known < SOON + (how == "measured whole") * 4, (seed, one.served)


@pytest.mark.parametrize("noise", [0.0, 0.05])
@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("slots", [None, 4, 2])
@pytest.mark.parametrize("shape", SHAPES)
def test_it_is_found_however_it_is_known_and_stays(shape, slots, how, noise):
    for seed in range(3):
        one = backend(shape, how, slots, seed, noise)
        one.run(500)
        best = max(fast(shape, slots, number) for number in range(1, MOST))
        assert one.run(300) >= 0.9 * best * ALONE
        one.now += TRY_AGAIN
        one.run(300)
        right = [is_right(shape, slots, number) for number in one.served[500:]]
        assert sum(right) >= 0.9 * len(right), (seed, one.served[500:])  # some are tried again


def test_a_try_in_vain_takes_few_tasks():
    one = backend("fewer with each", "measured", None, seed=1, noise=0.0)
    one.run(50)
    assert one.served.count(4) <= 6
    assert max(one.served) == one.most_at_once == 4
    assert one.run(50) >= 0.99 * ALONE, "it is not tried again at once"
    one.now += TRY_AGAIN
    one.most_at_once = 0
    one.run(50)
    assert one.most_at_once == 2, "four have been found out"


def test_what_cannot_be_worth_it_is_not_tried():
    """Four that are each as slow as two at once would get less done than one."""
    one = SharedSpeed(partial(speeds_of, (100, 51, 34, 25)), Concurrency(MOST), "measured")
    one.run(200)
    assert one.most_at_once == 2


@pytest.mark.parametrize("slots", [1, 2])
def test_where_calls_wait_inside_few_do_for_it(slots):
    one = backend("a dip", "measured", slots, seed=1, noise=0.0)
    one.run(60)
    assert one.known.served == 1
    assert one.waited_inside == [1, 2][slots - 1]


@pytest.mark.parametrize("most", [2, 3])
def test_no_more_than_the_bound_are_tried(most):
    one = SharedSpeed(partial(speeds_of, SHAPES["a dip"]), Concurrency(most), "measured")
    one.run(200)
    assert one.most_at_once == most
    assert one.known.served == 1


def test_what_is_tried_and_called_back_is_tried_again():
    one = backend("a dip", "measured", 4, seed=1, noise=0.0)
    for _ in range(200):
        if len(one.known.recallable()) == 3:
            break
        one.step()
    assert len(one.known.recallable()) == 3
    for key in one.known.recallable():
        one.call_back(key)
    assert not one.known.allows(one.now), "not again at once"
    one.now += RECALLED
    one.run(40)
    assert one.known.served == 4


@pytest.mark.parametrize("four", [125, 139])
def test_four_that_were_nearly_as_fast_are_tried_again_after_a_while(four):
    """The machine may have had other work just then."""
    one = SharedSpeed(
        partial(speeds_of, (138, 110, 120, four)), Concurrency(MOST), "measured", slots=4
    )
    one.run(60)
    assert one.known.served == 1
    one.speed = partial(speeds_of, SHAPES["a dip"])
    one.now += TRY_AGAIN
    one.run(40)
    assert one.known.served == 4


def test_a_restart_of_the_backend_makes_it_be_tried_again():
    one = backend("fewer with each", "measured", 4, seed=1, noise=0.0)
    one.run(100)
    assert one.known.served == 1
    one.speed = partial(speeds_of, SHAPES["a dip"])
    one.known.restarted(one.now)
    one.run(40)
    assert one.known.served == 4


def test_a_first_byte_is_not_late_if_those_that_run_slow_one_another():
    known = Concurrency(16, GUESSED)
    now = 0.0
    for _ in range(8):
        known.start("alone", now)
        known.answered("alone")
        now += 1.0
        known.end("alone", now, Sample(1.0, 0.1, tokens=10))
    for _ in range(30):  # four at once get as much done as one, so each takes four times as long
        for task in "abcd":
            known.start(task, now)
        known.answered("a")
        known.end("a", now + 4.0, Sample(4.0, 0.1, tokens=10))
        known.start("e", now + 4.0)
        for task in "bcde":
            known.answered(task)
        now += 8.0
        for task in "bcde":
            known.end(task, now, Sample(4.0 if task == "e" else 8.0, 0.4, tokens=10))
    assert known.refused is None or "waited" not in known.reason

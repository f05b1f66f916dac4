"""`auto` comes to the number at once with which a backend gets the most done, and stays there."""

from __future__ import annotations

from functools import cache, partial

import pytest

from oq.rules.concurrency import TRY_AGAIN, Concurrency
from oq.rules.known_at_first import GUESSED, MOST_GUESSED
from tests.unit.rules.shared_speed import (
    How,
    SharedSpeed,
    bends_at,
    best_fixed,
    scales_to,
    thrashes_beyond,
)

MOST = 24
SHAPES = {
    "scales to 4": partial(scales_to, 4),
    "scales to 6": partial(scales_to, 6),
    "scales to 16": partial(scales_to, 16),
    "thrashes beyond 2": partial(thrashes_beyond, 2),
    "thrashes beyond 5": partial(thrashes_beyond, 5),
    "bends at 4": partial(bends_at, 4),
    "one at a time": partial(scales_to, 1),
}


@cache
def best_of(shape: str) -> tuple[int, float]:
    return best_fixed(SHAPES[shape], MOST)


def test_the_best_numbers_are_what_the_backends_were_made_for():
    best = {shape: best_of(shape)[0] for shape in SHAPES}
    assert best["scales to 4"] == best["bends at 4"] == 4
    assert best["scales to 16"] == 16
    assert best["thrashes beyond 2"] == 2


def auto(how: How) -> Concurrency:
    return Concurrency(MOST) if how.startswith("measured") else Concurrency(MOST_GUESSED, GUESSED)


@pytest.mark.parametrize("how", ["measured", "measured whole", "first byte", "whole"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("seed", range(3))
def test_auto_comes_within_one_of_the_best_number(shape, how, seed):
    best, tokens = best_of(shape)
    known = auto(how)
    backend = SharedSpeed(SHAPES[shape], known, how, seed)
    backend.run(500)
    assert abs(known.served - best) <= 1, known.reason
    assert backend.run(300) >= 0.9 * tokens
    backend.now += TRY_AGAIN
    backend.run(300)
    assert abs(known.served - best) <= 1, known.reason


@pytest.mark.parametrize("how", ["measured", "measured whole", "first byte", "whole"])
@pytest.mark.parametrize("slots", [2, 4, 8])
def test_slots_that_slow_one_another_a_little_are_all_used(how, slots):
    known = auto(how)
    backend = SharedSpeed(partial(bends_at, slots), known, how, slots=slots)
    backend.run(500)
    best, _ = best_fixed(partial(bends_at, slots), MOST)
    assert abs(known.served - best) <= 1, known.reason


def test_tasks_that_say_nothing_but_their_end_are_not_sent_together_where_they_thrash():
    for seed in range(3):
        known = auto("silent")
        SharedSpeed(SHAPES["thrashes beyond 2"], known, "silent", seed).run(500)
        assert known.served <= 3

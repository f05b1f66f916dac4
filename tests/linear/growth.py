"""How much more four times the input costs.

It is the processor's time of this thread that counts, the lesser of two runs, so that other work
on the machine does not show. What is quadratic costs sixteen times as much, and what is linear four
times: the bound lies between, with room on both sides. A step or two may be dearer than that, where
the input outgrows a cache, or where memory is asked of the system for the first time; what is more
than linear is dearer at each step.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable
from contextlib import suppress

from oq.words.errors import OqError

START, MOST = 2_000, 64_000
"""Bytes: the smallest input, and the largest whose fourfold is tried."""
ENOUGH = 0.002
"""Seconds. What takes less is hidden by other things."""
BOUND = 6.0
TRIES = 3
STEPS = 3
"""So many fourfold steps in a row have to be too dear."""

Make = Callable[[int], bytes]
Work = Callable[[bytes], object]


def assert_linear(make: Make, work: Work, most: int = MOST, start: int = START) -> None:
    """`make` gives an input of so many bytes, and `work` is done on it; an OqError is an answer.

    The input grows until the work can be measured. What cannot be measured at `most` is quick
    enough.
    """
    size = start
    while (cost := _cost(make(size), work)) < ENOUGH and size < most:
        size *= 2
    if cost < ENOUGH:
        return
    ratios: list[float] = []
    while len(ratios) < STEPS:
        ratios.append(_ratio(make(size), make(4 * size), work))
        if ratios[-1] <= BOUND:
            return
        size *= 4
    said = " and ".join(f"{ratio:.1f}" for ratio in ratios)
    raise AssertionError(f"four times the bytes cost {said} times as much, up to {size} bytes")


def _ratio(small: bytes, large: bytes, work: Work) -> float:
    """The least of some tries, which end at the first that is within the bound."""
    least = math.inf
    for _ in range(TRIES):
        least = min(least, _cost(large, work) / _cost(small, work))
        if least <= BOUND:
            break
    return least


def _cost(data: bytes, work: Work) -> float:
    return min(_time(data, work) for _ in range(2))


def _time(data: bytes, work: Work) -> float:
    gc.disable()  # it looks at all that there is, of other tests too
    try:
        began = time.thread_time()
        with suppress(OqError, ValueError):
            work(data)
        return time.thread_time() - began
    finally:
        gc.enable()

"""How much more four times the input costs.

It is the processor's time of this thread that counts, the lesser of two runs, so that other work
on the machine does not show. What is quadratic costs sixteen times as much, and what is linear four
times: the bound lies between, with room on both sides.
"""

from __future__ import annotations

import gc
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

Make = Callable[[int], bytes]
Work = Callable[[bytes], object]


def assert_linear(make: Make, work: Work, most: int = MOST, start: int = START) -> None:
    """`make` gives an input of so many bytes, and `work` is done on it; an OqError is an answer.

    The input grows until the work can be measured. What cannot be measured at `most` is quick
    enough.
    """
    size = start
    while (once := _cost(make(size), work)) < ENOUGH and size < most:
        size *= 2
    if once < ENOUGH:
        return
    grown = make(4 * size)
    for _ in range(TRIES):
        ratio = _cost(grown, work) / once
        if ratio <= BOUND:
            return
        once = _cost(make(size), work)
    raise AssertionError(f"{4 * size} bytes cost {ratio:.1f} times as much as {size}")


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

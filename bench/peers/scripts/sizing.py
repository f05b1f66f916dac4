"""How many jobs a measurement takes, so that a slow peer takes no longer than a fast one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

CONCURRENT = 64
"""Calls under way at once, where a producer can have several."""
THREADS = 16
"""The same where a call blocks. With huey, beanstalkd, dramatiq and celery neither 8 nor 64 were
faster by more than the rounds differed.
"""
BULK = 1000
"""Jobs in one call, where a call can have several."""
PILOT = 100
"""Jobs that are run first, to see how fast they go."""


async def settled(
    rate_of: Callable[[int], Awaitable[float]], seconds: float, *, most: int = 100_000
) -> tuple[float, int]:
    """The rate of as many jobs as take about `seconds`, and how many these are.

    `rate_of` runs so many jobs and gives their rate a second. It is called with more and more until
    they take a while: by then caches are filled and what compiles itself is compiled.
    """
    count = PILOT
    while (rate := await rate_of(count)) * seconds > count * 3 and count * 3 <= most:
        count *= 3
    count = jobs_for(rate, seconds, most=most)
    return await rate_of(count), count


def jobs_for(rate: float, seconds: float, *, most: int) -> int:
    """The jobs that take about `seconds` at `rate` a second, in whole pilots and at least one."""
    return min(max(round(rate * seconds / PILOT), 1) * PILOT, most)


def until_next_look(left: int, done: int, took: float) -> float:
    """Seconds until a server is asked again how far it is, which is work for it too: half of what
    the rest would take at the rate so far, but at most a quarter of a second and at least 5 ms.
    """
    expected = left * took / done if done else 0.0
    return min(max(expected / 2, 0.005), 0.25)


def chunks(start: int, end: int, size: int = BULK) -> list[range]:
    """The indices from `start` to `end` in runs of at most `size`."""
    return [range(at, min(at + size, end)) for at in range(start, end, size)]

"""How many calls a server runs at once: whether oq finds a right number, and what that gives.

Which number is right is measured in the same run: with some servers fewer than all slots, or one
alone, get the most done, also if the server itself says how many it has. A machine that does other
things, too, is measured more often, and what may be chance is not held against oq.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from math import hypot, sqrt
from statistics import fmean, stdev

import trio

from tests.real.calls import Call, Caller
from tests.real.lab import Lab, Oq
from tests.real.rows import Row

SEEN = 20
"""Tasks after which oq must know a right number."""
MEASURED = 12
"""Tasks that are measured in a round. Those that run together end together: a multiple of 1, 2, 3
and 4. A round is short: what the machine does beside it changes within a minute.
"""
STAYS = 16
"""Tasks after the first `SEEN`, for which oq must mostly stay with a right number."""
GOOD = 0.97
"""The share of the most tokens a second from which a number is right."""
MOSTLY = 0.8
EXACT = 0.07
"""The share of a mean by which it may be wrong at most, or else there are more rounds."""
MORE = 3
"""So many times as many at most."""
DIRECT, AUTO = "direct", "auto"


class Rate:
    """Tokens in a second, in each round."""

    def __init__(self, *measured: float) -> None:
        self.measured = list(measured)

    def __str__(self) -> str:
        return f"{self.mean:.0f} ± {self.error:.0f}"

    @property
    def mean(self) -> float:
        return fmean(self.measured)

    @property
    def error(self) -> float:
        """By how much the mean may be wrong: twice its standard error."""
        few = len(self.measured) < 2
        return 0.0 if few else 2 * stdev(self.measured) / sqrt(len(self.measured))

    @property
    def exact(self) -> bool:
        return self.error <= EXACT * self.mean

    def may_reach(self, share: float, other: Rate) -> bool:
        """Whether it may be such a share of the other one, as far as they are known."""
        return self.mean + hypot(self.error, share * other.error) >= share * other.mean


async def parallel(lab: Lab) -> list[Row]:
    """Servers with several slots."""
    return [row for number in lab.box.tried for row in await _with(lab, number)]


async def _with(lab: Lab, slots: int) -> list[Row]:
    """Fixed numbers of tasks and what oq finds, in turns."""
    numbers = range(1, slots + 1)
    rates = {who: Rate() for who in (DIRECT, *map(str, numbers), AUTO)}
    async with (
        lab.serving(**{lab.box.slots: str(slots)}) as server,
        lab.direct(server) as direct,
        AsyncExitStack() as stack,
    ):
        oqs = {
            str(number): await stack.enter_async_context(
                lab.through(server, {"max_concurrency": number})
            )
            for number in (*numbers, AUTO)
        }
        await direct.call("a", 8)
        seen = await _seen(lab, oqs[AUTO], slots)
        for done in range(MORE * lab.rounds):
            if done >= lab.rounds and all(rate.exact for rate in rates.values()):
                break
            for who, rate in rates.items():
                # Measured while nobody asks for numbers: the server answers that, too.
                calls, callers = (direct, slots) if who == DIRECT else (oqs[who].calls, slots + 2)
                rate.measured.append(speed(await _many(lab, calls, callers)))
    fixed = {number: rates[str(number)] for number in numbers}
    best, right = best_of(fixed), right_numbers(fixed)
    after = tasks_until(right, seen)
    what = f"{lab.box.slots} {slots}"
    measured = ", ".join(f"{number} at once: {rate}" for number, rate in fixed.items())
    return [
        Row(
            f"{what}: tasks until oq keeps to a right number",
            "",
            f"{after} ({' '.join(map(str, seen))})",
            f"tokens/s of {measured}",
            f"≤ {SEEN}, of {' or '.join(map(str, right))} at once",
            after is not None and after <= SEEN,
        ),
        Row(
            f"{what}: tokens/s",
            str(rates[DIRECT]),
            str(rates[AUTO]),
            measured,
            f"≥ {GOOD * best.mean:.0f}, as far as is known",
            rates[AUTO].may_reach(GOOD, best),
        ),
    ]


def best_of(fixed: Mapping[int, Rate]) -> Rate:
    """The highest one."""
    return max(fixed.values(), key=lambda rate: rate.mean)


def right_numbers(fixed: Mapping[int, Rate]) -> list[int]:
    """The numbers of tasks at once that may get as many tokens a second as the best, or nearly."""
    best = best_of(fixed)
    return [number for number, rate in fixed.items() if rate.may_reach(GOOD, best)]


def tasks_until(right: Collection[int], seen: Sequence[int]) -> int | None:
    """After how many tasks oq uses one of these numbers and stays with them but for a few, when the
    machine was busy; None if it does not. `seen` is its number after each task.
    """
    good = [number in right for number in seen]
    places = range(len(good))
    rest = (place for place in places if good[place] and _mostly(good[place:]))
    return next((place + 1 for place in rest), None)


def _mostly(good: Sequence[bool]) -> bool:
    return sum(good) >= MOSTLY * len(good)


async def _many(lab: Lab, calls: Caller, callers: int) -> list[Call]:
    """Short calls by so many callers, each without a pause, in the order of their ends: those that
    are measured, when all callers have begun and before the first has no more to ask. The last ones
    would not count as many as run at once.
    """
    asked = callers + MEASURED + callers
    many = await _by(callers, asked, lambda: calls.call("a", lab.tokens // 3))
    return many[callers - 1 : callers + MEASURED]


async def _seen(lab: Lab, oq: Oq, slots: int) -> list[int]:
    """Such calls until oq must know its number and for some more: what it took for the number after
    each of them.
    """
    numbers: list[int] = []

    async def one() -> Call:
        call = await oq.calls.call("a", lab.tokens // 3)
        numbers.append(await oq.slots())
        return call

    await _by(2 * slots + 2, SEEN + STAYS, one)
    return numbers


async def _by(callers: int, number: int, ask: Callable[[], Awaitable[Call]]) -> list[Call]:
    ended: list[Call] = []
    left = iter(range(number))

    async def use() -> None:
        for _ in left:  # which all callers share
            ended.append(await ask())  # noqa: PERF401 - in the order of all callers

    async with trio.open_nursery() as nursery:
        for _ in range(callers):
            nursery.start_soon(use)
    return ended


def speed(calls: Sequence[Call]) -> float:
    """Tokens in a second, of all these calls together: after the first had ended."""
    tokens = sum(call.tokens for call in calls[1:])
    return tokens / (calls[-1].ended - calls[0].ended)

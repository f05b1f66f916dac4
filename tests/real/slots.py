"""How many calls a server runs at once: whether oq finds the right number, and what that gives."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import trio

from tests.real.calls import Call, Caller
from tests.real.lab import Lab, Oq
from tests.real.rows import Row, told

SEEN = 20
"""Tasks after which oq must know the number."""
MEASURED = 16
ROUNDS = 2
"""Of which the best counts."""
GOOD = 0.97
MOSTLY = 0.8


async def parallel(lab: Lab) -> list[Row]:
    """Servers with several slots."""
    return [row for number in lab.box.tried for row in await _with(lab, number)]


async def _with(lab: Lab, slots: int) -> list[Row]:
    """A fixed number of tasks and what oq finds, in turns: the machine may do other things, too."""
    fixed = dict.fromkeys(sorted({1, slots, 2 * slots}), 0.0)
    direct = found = 0.0
    async with lab.serving(**{lab.box.slots: str(slots)}) as server:
        for _ in range(ROUNDS):
            async with lab.direct(server) as calls:
                await calls.call("a", 8)
                direct = max(direct, speed(await _many(lab, calls, slots)))
            for number in fixed:
                async with lab.through(server, {"max_concurrency": number}) as oq:
                    many = await _many(lab, oq.calls, 2 * slots + 2)
                    fixed[number] = max(fixed[number], speed(many))
            async with lab.through(server) as oq:
                seen = await _seen(lab, oq, slots)
                # Measured while nobody asks: the server answers that, too.
                found = max(found, speed(await _many(lab, oq.calls, 2 * slots + 2)))
    best = max(fixed.values())
    after = next((place for place in range(len(seen)) if _mostly(slots, seen[place:])), None)
    what = f"{lab.box.slots} {slots}"
    return [
        told(
            f"{what}: tasks until oq keeps to the right number",
            "",
            f"{after} ({' '.join(map(str, seen))})",
            f"≤ {SEEN}",
            after is not None and after <= SEEN,
        ),
        Row(
            f"{what}: tokens/s",
            f"{direct:.0f}",
            f"{found:.0f}",
            ", ".join(f"{number} at once: {fixed[number]:.0f}" for number in fixed),
            f"≥ {GOOD * best:.0f}",
            found >= GOOD * best,
        ),
    ]


def _mostly(slots: int, seen: Sequence[int]) -> bool:
    """Whether it is this number, and stays it but for a few, when the machine was busy."""
    return seen[0] == slots and seen.count(slots) >= MOSTLY * len(seen)


async def _many(lab: Lab, calls: Caller, callers: int) -> list[Call]:
    """Short calls by so many callers, each without a pause, in the order of their ends: those that
    are measured, when all callers have begun.
    """
    many = await _by(callers, callers + MEASURED, lambda: calls.call("a", lab.tokens // 3))
    return many[callers - 1 :]


async def _seen(lab: Lab, oq: Oq, slots: int) -> list[int]:
    """Such calls until oq must know its number and for as long again: what it took for the number
    after each of them.
    """
    numbers = []

    async def one() -> Call:
        call = await oq.calls.call("a", lab.tokens // 3)
        numbers.append(await oq.slots())
        return call

    await _by(2 * slots + 2, SEEN + MEASURED, one)
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

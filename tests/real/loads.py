"""What callers do: many calls at once, one after another without a pause, and one in between."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager

import trio

from tests.real.calls import Call, Caller

Ask = Callable[[], Awaitable[Call]]
GAP = 0.02
"""Seconds between calls that are sent "at once", so that they come in this order."""


async def at_once(asks: Iterable[Ask], gap: float = GAP) -> list[Call]:
    """Make these calls in this order, each `gap` seconds after the one before."""
    return await planned([(place * gap, ask) for place, ask in enumerate(asks)])


async def planned(plan: Sequence[tuple[float, Ask]]) -> list[Call]:
    """Make each of these calls so many seconds from now; what came of them, in this order."""
    found: dict[int, Call] = {}

    async def one(place: int, after: float, ask: Ask) -> None:
        await trio.sleep(after)
        found[place] = await ask()

    async with trio.open_nursery() as nursery:
        for place, (after, ask) in enumerate(plan):
            nursery.start_soon(one, place, after, ask)
    return [found[place] for place in range(len(plan))]


@asynccontextmanager
async def flood(
    calls: Caller, model: str, tokens: int, seconds: float, callers: int = 3
) -> AsyncIterator[list[Call]]:
    """Callers that use one model without a pause, for so many seconds or until the block ends; each
    ends its last call then. The list has the calls that have ended.
    """
    ended: list[Call] = []
    late = trio.current_time() + seconds
    stopped = trio.Event()

    async def use() -> None:
        while not stopped.is_set() and trio.current_time() < late:
            ended.append(await calls.call(model, tokens))

    async with trio.open_nursery() as nursery:
        for _ in range(callers):
            nursery.start_soon(use)
        yield ended
        stopped.set()


def span(calls: Sequence[Call]) -> float:
    """Seconds from when the first was sent to when the last had ended."""
    return max(call.ended for call in calls) - min(call.sent for call in calls)


def order_of_ends(calls: Sequence[Call]) -> str:
    """In which order they ended, as numbers of the order in which they were sent."""
    places = sorted(range(len(calls)), key=lambda place: calls[place].ended)
    return " ".join(map(str, places))

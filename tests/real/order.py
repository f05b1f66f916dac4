"""A critical task behind twelve low ones: priority and FIFO as far as the model itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from functools import partial

from tests.real.calls import Call, Caller
from tests.real.lab import Lab
from tests.real.loads import GAP, at_once, order_of_ends, planned, span
from tests.real.rows import Row, at_most, seconds, told

LOW = 12
SEEN = 20
"""Tasks after which oq must know how many a backend serves at once."""
SOON = 0.3
INSIDE = 0.1
"""Seconds that a task may wait inside the server once oq knows it."""


Seen = tuple[list[Call], Call]
"""The low calls and the critical one."""


async def critical(lab: Lab) -> list[Row]:
    """The defaults of both."""
    async with lab.serving() as server:
        async with lab.direct(server) as calls:
            await _twenty(calls)
            direct = await _behind_twelve(lab, calls)
        async with lab.through(server) as oq:
            _, first = await _behind_twelve(lab, oq.calls)
        runs: dict[str | int, list[Seen]] = {"auto": [], 4: []}
        async with AsyncExitStack() as stack:
            oqs = {
                setting: await stack.enter_async_context(
                    lab.through(server, {"max_concurrency": setting})
                )
                for setting in runs
            }
            for oq in oqs.values():
                await _twenty(oq.calls)
            for _ in range(lab.rounds):
                for setting, seen in runs.items():
                    seen.append(await _behind_twelve(lab, oqs[setting].calls))
    low, found = runs["auto"][-1]
    rounds = [[[*calls, one] for calls, one in seen] for seen in runs.values()]
    pace = best_pace(call for each in rounds for calls in each for call in calls[:LOW])
    auto, four = (shortest(each, pace) for each in rounds)
    direct_low, direct_critical = direct
    residual = _residual(low, found)
    return [
        at_most(
            "a critical task behind 12 low ones: its first token",
            seconds(direct_critical.first_after),
            found.first_after,
            seconds(residual),
            residual + SOON,
        ),
        at_most(
            "the same as the first tasks that this oq sees",
            "",
            first.first_after,
            "",
            2 * lab.service + SOON,
        ),
        _order(direct_low, low),
        at_most(
            "all of them, against `max_concurrency: 4`, at the same pace",
            seconds(span(direct_low)),
            auto,
            seconds(four),
            1.03 * four,
        ),
        *_inside(direct_low, [*low, found]),
    ]


def _order(direct: list[Call], through: list[Call]) -> Row:
    """The low ones end in the order in which they came."""
    wanted = " ".join(map(str, range(LOW)))
    found = order_of_ends(through)
    return told(
        "the 12 end in this order", order_of_ends(direct), found, "0 to 11", found == wanted
    )


def _inside(direct: list[Call], through: list[Call]) -> list[Row]:
    """The longest wait inside the server, if it says how long that is."""
    waits = [call.waited for call in through if call.waited is not None]
    if not waits:
        return []
    longest = max(call.waited or 0.0 for call in direct)
    what = "the longest wait inside the server"
    return [at_most(what, seconds(longest), max(waits), seconds(0), INSIDE)]


async def _twenty(calls: Caller) -> None:
    """Short tasks, several at once, from which oq learns."""
    await at_once(partial(calls.call, "a", 8, priority="low") for _ in range(SEEN))


async def _behind_twelve(lab: Lab, calls: Caller) -> Seen:
    """Twelve low calls and, while the first of them runs, a critical one."""
    low = [
        (GAP * place, partial(calls.call, "a", lab.tokens, priority="low")) for place in range(LOW)
    ]
    then = partial(calls.call, "a", 8, priority="critical")
    *rest, last = await planned([*low, (0.6 * lab.service, then)])
    return rest, last


def shortest(rounds: Sequence[Sequence[Call]], pace: float) -> float:
    """Seconds that calls take which run one after the other, if each token takes `pace`, and each
    call begins as soon after the one before it as in its best round: the speed of a machine may
    change by a tenth while the calls of one round run.
    """
    begins = sum(map(min, zip(*map(_waits, rounds), strict=True)))
    return begins + pace * sum(call.tokens - 1 for call in rounds[0])


def best_pace(calls: Iterable[Call]) -> float:
    """Seconds from token to token, of the quickest call."""
    return min((call.ended - (call.first or 0.0)) / (call.tokens - 1) for call in calls)


def _waits(calls: Sequence[Call]) -> list[float]:
    """The seconds from each end to the next first token; from when the first of them was sent."""
    in_turn = sorted(calls, key=lambda call: call.ended)
    ends = [min(call.sent for call in calls), *(call.ended for call in in_turn)]
    return [(call.first or 0.0) - end for end, call in zip(ends, in_turn, strict=False)]


def _residual(low: list[Call], found: Call) -> float:
    """Seconds from when the critical call was sent to when a call that ran then had ended."""
    return min(call.ended for call in low if call.ended > found.sent) - found.sent

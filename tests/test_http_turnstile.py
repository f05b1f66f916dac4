"""The turnstile: in order, a few at a time, and nobody is left standing."""

from __future__ import annotations

from itertools import pairwise

import trio
from trio.testing import wait_all_tasks_blocked

from oq.http.turnstile import Turnstile


async def test_all_pass_and_others_run_in_between():
    turnstile, passed, seen = Turnstile(width=2), [], []

    async def pass_it(number: int) -> None:
        await turnstile.wait()
        passed.append(number)

    async def ask() -> None:
        while len(passed) < 20:
            seen.append(len(passed))
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        for number in range(20):
            nursery.start_soon(pass_it, number)
        nursery.start_soon(ask)
    assert sorted(passed) == list(range(20))
    # Trio shuffles those who run at the same time, so two turns may look like one.
    assert max(after - before for before, after in pairwise(seen)) <= 5


async def test_it_stays_open_when_the_first_is_cancelled():
    turnstile, passed = Turnstile(width=1), []
    scope = trio.CancelScope()

    async def first() -> None:
        with scope:
            await turnstile.wait()
            passed.append("first")

    async def other(number: int) -> None:
        await turnstile.wait()
        passed.append(number)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(first)
        for number in range(5):
            nursery.start_soon(other, number)
        scope.cancel()
        await wait_all_tasks_blocked()
    assert sorted(item for item in passed if item != "first") == list(range(5))
    with trio.fail_after(1):
        await turnstile.wait()

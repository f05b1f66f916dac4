"""The waker: in order, a few at a time, and nobody is forgotten."""

from __future__ import annotations

from itertools import pairwise

import trio
from trio.testing import wait_all_tasks_blocked

from oq.actors.subscription import Waker


async def test_all_are_woken_in_order_and_others_run_in_between():
    waker, woken, seen = Waker(width=2), [], []

    async def ask() -> None:
        while len(woken) < 20:
            seen.append(len(woken))
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(waker.keep_waking)
        for number in range(20):
            waker.call(lambda number=number: woken.append(number))
        await ask()
        nursery.cancel_scope.cancel()
    assert woken == list(range(20))
    # Trio shuffles those who run at the same time, so two turns may look like one.
    assert max(after - before for before, after in pairwise(seen)) <= 5


async def test_it_is_there_for_those_who_come_later():
    waker, woken = Waker(), []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(waker.keep_waking)
        for number in range(3):
            waker.call(lambda number=number: woken.append(number))
            await wait_all_tasks_blocked()
            assert woken == list(range(number + 1))
        nursery.cancel_scope.cancel()

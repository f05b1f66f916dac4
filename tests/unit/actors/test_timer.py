"""The timer keeps no more than it needs."""

from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from oq.actors.timer import PRUNE_FROM, Timer
from oq.words.clock import Clock
from oq.words.messages import Delay, Due
from tests.support.builders import NOW, at, task_id


@pytest.mark.parametrize(
    "more",
    [{}, {"retrying": True}, {"retrying": True, "at_most": 9.0}],
    ids=["a delay", "a retry", "a retry from before the start"],
)
async def test_a_task_that_changes_its_place_over_and_over_is_kept_a_few_times(
    more, autojump_clock
):
    again = Delay(task_id(1), at(60), **more)
    to_timer, inbox = trio.open_memory_channel[list[Delay]](1)
    to_scheduler, told = trio.open_memory_channel[Due](10)
    clock = Clock(lambda: NOW.timestamp() + trio.current_time())
    others = [Delay(task_id(number), at(60 + number)) for number in range(2, 300)]
    timer = Timer(clock, inbox, to_scheduler, lambda delay: True, others)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(timer.run)
        for _ in range(5 * PRUNE_FROM):
            await to_timer.send([again])
        await wait_all_tasks_blocked()  # it has taken all of them
        assert len(timer._by_wall) + len(timer._by_steady) <= PRUNE_FROM
        due: list[Delay] = []
        with trio.move_on_after(62.5):  # between the second and the third
            async for message in told:
                due += message.delays
        assert {delay.task_id for delay in due} == {task_id(1), task_id(2)}, "of each one is left"
        nursery.cancel_scope.cancel()

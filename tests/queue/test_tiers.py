"""Backends of tiers: one of a higher tier gets what would wait for too long, and no more.

The times are those of the mock clock: each machine runs one task at a time, of a second.
"""

from __future__ import annotations

from collections import Counter

import pytest
import trio

from tests.queue.test_fleet import all_of, box, down, fleet, ran_on, submit

AFTER = 10.0
CLOUD = {"cloud": {"tier": 1, "overflow_after": AFTER, "max_concurrency": 4}}
ONE = {"max_concurrency": 1}


def settings(**of_cloud):
    return {"local": ONE, "cloud": CLOUD["cloud"] | of_cloud}


async def warmed_up(queue) -> None:
    """How long tasks take is known, and the model is in memory."""
    await all_of(queue, await submit(queue, "m"))


async def test_what_does_not_wait_for_long_stays_below(autojump_clock):
    local, cloud = box("local", "m"), box("cloud", "m", parallel=4)
    async with fleet(local, cloud, backends=settings()) as queue:
        await warmed_up(queue)
        tasks = await all_of(queue, await submit(queue, *["m"] * 8))
        assert {ran_on(task) for task in tasks} == {"local"}


async def test_what_would_wait_for_too_long_goes_up_and_those_before_it_do_not(autojump_clock):
    local, cloud = box("local", "m"), box("cloud", "m", parallel=4)
    async with fleet(local, cloud, backends=settings()) as queue:
        await warmed_up(queue)
        tasks = await all_of(queue, await submit(queue, *["m"] * 40))
        where = [ran_on(task) for task in tasks]
        assert where[:8] == ["local"] * 8
        assert Counter(where)["cloud"] >= 20
        for task in tasks:
            waited = (task.started_at - task.created_at).total_seconds()
            assert waited <= AFTER + 5, "four at once in the cloud, and one here"


async def test_a_model_that_only_the_higher_tier_has_goes_there_at_once(autojump_clock):
    local, cloud = box("local", "m"), box("cloud", "m", "big", parallel=4)
    async with fleet(local, cloud, backends=settings()) as queue:
        await warmed_up(queue)
        busy = await submit(queue, *["m"] * 5)
        [task] = await all_of(queue, await submit(queue, "big"))
        assert ran_on(task) == "cloud"
        assert {ran_on(task) for task in await all_of(queue, busy)} == {"local"}


async def test_while_the_lower_tier_is_down_the_higher_one_takes_its_place(autojump_clock):
    local, cloud = box("local", "m"), box("cloud", "m", parallel=4)
    async with fleet(local, cloud, backends=settings()) as queue:
        await warmed_up(queue)
        await down(queue, local)
        tasks = await all_of(queue, await submit(queue, "m", "m"))
        assert {ran_on(task) for task in tasks} == {"cloud"}
        local.down = None
        await trio.sleep(5)
        [task] = await all_of(queue, await submit(queue, "m"))
        assert ran_on(task) == "local"


async def test_urgent_tasks_come_first_and_the_others_go_up(autojump_clock):
    local, cloud = box("local", "m"), box("cloud", "m", parallel=4)
    async with fleet(local, cloud, backends=settings()) as queue:
        await warmed_up(queue)
        low = await submit(queue, *["m"] * 20, priority=1)
        high = await submit(queue, *["m"] * 6, priority=10)
        assert {ran_on(task) for task in await all_of(queue, high)} == {"local"}
        assert "cloud" in {ran_on(task) for task in await all_of(queue, low)}


@pytest.mark.parametrize("affinity", [False, True])
async def test_each_policy_has_tiers(affinity, autojump_clock):
    local, cloud = box("local", "m"), box("cloud", "m", parallel=4)
    scheduler = {"affinity": affinity}
    async with fleet(
        local, cloud, backends=settings(overflow_after=3), scheduler=scheduler
    ) as queue:
        await warmed_up(queue)
        tasks = await all_of(queue, await submit(queue, *["m"] * 20))
        assert {ran_on(task) for task in tasks} == {"local", "cloud"}
        assert ran_on(tasks[0]) == "local"

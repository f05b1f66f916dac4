"""When a task will start: what a queue says of it, refuses by it, and keeps over a restart."""

from __future__ import annotations

from datetime import timedelta

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from oq.backends.simulated import Script
from oq.queue import Queue, outlook
from oq.rules.filters import Sort, TaskFilter
from oq.store import MemoryEngine
from oq.words.errors import InvalidTask, QueueFull, WaitTooLong
from oq.words.task import RawTask, Status
from tests.queue.test_fleet import box, down, fleet
from tests.queue.test_outages import Machine, all_of, before
from tests.support.queues import ended, generate, memory_queue, until

TOOK = 2.0
ONE_AT_ONCE = {"max_workers": 1}


async def submitted(queue: Queue, number: int, **fields) -> list[str]:
    """Tasks that take TOOK seconds each, one after the other."""
    tasks = [generate(simulate={"delay": TOOK}, **fields) for _ in range(number)]
    return await queue.raw.submit_many(tasks)


async def known(queue: Queue) -> None:
    """Let it learn how long tasks take."""
    for task_id in await submitted(queue, 40):
        await ended(queue, task_id)


def starts_in(task: RawTask, queue: Queue) -> float:
    assert task.eta is not None
    return (task.eta.starts.p50 - queue.raw.now()).total_seconds()


async def test_a_task_that_waits_says_when_it_starts_and_ends(autojump_clock):
    async with memory_queue(queue=ONE_AT_ONCE) as queue:
        await known(queue)
        ids = await submitted(queue, 30)
        await until(queue, ids[0], Status.RUNNING)
        shown = await queue.raw.get(ids[-1])
        assert starts_in(shown, queue) == pytest.approx(29 * TOOK, rel=0.15)
        eta = shown.eta
        assert eta is not None
        assert eta.starts.p10 < eta.starts.p50 < eta.starts.p90
        assert eta.ends.p50 - eta.starts.p50 == pytest.approx(
            timedelta(seconds=TOOK), abs=timedelta(seconds=2)
        )
        begun = (await ended(queue, ids[-1])).started_at
        assert begun is not None
        assert (
            eta.starts.p10 - timedelta(seconds=TOOK)
            <= begun
            <= eta.starts.p90 + timedelta(seconds=TOOK)
        )


async def test_one_that_runs_or_has_ended_says_nothing_of_it(autojump_clock):
    async with memory_queue(queue=ONE_AT_ONCE) as queue:
        await known(queue)
        (task_id,) = await submitted(queue, 1)
        assert (await until(queue, task_id, Status.RUNNING)).eta is None
        assert (await ended(queue, task_id)).eta is None


async def test_before_anything_has_run_nothing_is_told(autojump_clock):
    async with memory_queue(queue=ONE_AT_ONCE) as queue:
        ids = await submitted(queue, 3)
        assert (await queue.raw.get(ids[-1])).eta is None
        assert queue.status().empty_at is None
        await queue.raw.submit(generate(), max_wait=0)


async def test_while_the_queue_is_paused_nothing_is_told(autojump_clock):
    async with memory_queue(queue=ONE_AT_ONCE) as queue:
        await known(queue)
        await queue.pause()
        (task_id,) = await submitted(queue, 1)
        assert (await queue.raw.get(task_id)).eta is None
        await queue.raw.submit(generate(), max_wait="1s")


async def test_listings_say_it_of_each(autojump_clock):
    async with memory_queue(queue=ONE_AT_ONCE) as queue:
        await known(queue)
        await submitted(queue, 12)
        filter = TaskFilter(status=(Status.PENDING,), sort=Sort.QUEUE)
        for page in (await queue.raw.list(filter), await queue.raw.list_summaries(filter)):
            times = [task.eta.starts.p50 for task in page.tasks if task.eta is not None]
            assert len(times) >= 10
            assert times == sorted(times)


async def test_when_the_queue_will_be_empty(autojump_clock):
    async with memory_queue(queue=ONE_AT_ONCE) as queue:
        await known(queue)
        assert queue.status().empty_at is None
        ids = await submitted(queue, 20)
        await until(queue, ids[0], Status.RUNNING)
        empty_at = queue.status().empty_at
        assert empty_at is not None
        expected = (empty_at - queue.raw.now()).total_seconds()
        assert expected == pytest.approx(20 * TOOK, rel=0.2)


async def test_what_would_wait_for_too_long_is_refused_at_once(autojump_clock):
    async with memory_queue(queue=ONE_AT_ONCE) as queue:
        await known(queue)
        ids = await submitted(queue, 30)
        await until(queue, ids[0], Status.RUNNING)
        before = queue.status().total_tasks
        with pytest.raises(
            WaitTooLong, match=r"it would start in about 6\d s, and may wait for 30 s"
        ) as error:
            await queue.raw.submit(generate(), max_wait="30s")
        assert 25 <= error.value.retry_after <= 40
        with pytest.raises(WaitTooLong):
            await queue.raw.submit_many([generate(), generate()], max_wait=30)
        assert queue.status().total_tasks == before
        assert (await queue.raw.submit(generate(), max_wait="5m")).created
        assert (await queue.raw.submit(generate(priority="critical"), max_wait=30)).created


async def test_one_that_is_there_already_is_not_refused(autojump_clock):
    async with memory_queue(queue=ONE_AT_ONCE) as queue:
        await known(queue)
        await submitted(queue, 30)
        first = await queue.raw.submit(generate(), idempotency_key="k")
        again = await queue.raw.submit(generate(), idempotency_key="k", max_wait=1)
        assert (again.task_id, again.created) == (first.task_id, False)


async def test_one_that_is_to_run_later_is_not_refused(autojump_clock):
    async with memory_queue(queue=ONE_AT_ONCE) as queue:
        await known(queue)
        await submitted(queue, 30)
        later = queue.raw.now() + timedelta(hours=1)
        assert (await queue.raw.submit(generate(run_at=later), max_wait=1)).created


@pytest.mark.parametrize("wrong", ["soon", "-1s", ""])
async def test_a_limit_that_is_none_is_refused(wrong, autojump_clock):
    async with memory_queue(queue=ONE_AT_ONCE) as queue:
        with pytest.raises(InvalidTask, match="X-OQ-Max-Wait"):
            await queue.raw.submit(generate(), max_wait=wrong)


async def test_a_full_queue_says_when_there_will_be_room(autojump_clock):
    async with memory_queue(queue={**ONE_AT_ONCE, "max_pending": 10}) as queue:
        for _ in range(4):
            for task_id in await submitted(queue, 10):
                await ended(queue, task_id)
        ids = await submitted(queue, 10)
        await until(queue, ids[0], Status.RUNNING)
        await submitted(queue, 1)
        with pytest.raises(QueueFull) as full:
            await submitted(queue, 8)
        assert full.value.retry_after == pytest.approx(8 * TOOK, rel=0.2)
        await queue.pause()
        with pytest.raises(QueueFull) as full:
            await submitted(queue, 8)
        assert full.value.retry_after == outlook.LATEST, "nobody knows until when it is paused"
    async with memory_queue(queue={**ONE_AT_ONCE, "max_pending": 1}) as queue:
        await queue.pause()
        await submitted(queue, 1)
        with pytest.raises(QueueFull) as full:
            await submitted(queue, 1)
        assert full.value.retry_after == outlook.LATEST


@pytest.mark.parametrize("why", ["its backend is down", "its model is paused"])
async def test_a_full_queue_of_which_nothing_can_start_is_told_no_near_time(why, autojump_clock):
    one, two = box("one", "alpha"), box("two", "beta")
    async with fleet(one, two, queue={"max_pending": 10, "probe_interval": 2.0}) as queue:
        for _ in range(8):
            for task_id in await queue.raw.submit_many([generate(model="alpha")] * 8):
                await ended(queue, task_id)
        if "down" in why:
            await down(queue, one)
        else:
            await queue.pause("alpha")
        await queue.raw.submit_many([generate(model="alpha") for _ in range(9)])
        with pytest.raises(QueueFull) as full:
            await queue.raw.submit_many([generate(model="beta") for _ in range(8)])
        assert full.value.retry_after == outlook.LATEST
        one.down = None
        await queue.resume("alpha")
        await trio.sleep(2.1)
        with pytest.raises(QueueFull) as full:
            await queue.raw.submit_many([generate(model="beta") for _ in range(8)])
        assert full.value.retry_after < outlook.LATEST


async def test_after_a_restart_it_is_known_as_well_as_before(autojump_clock):
    engine = MemoryEngine()
    async with memory_queue(engine, queue=ONE_AT_ONCE) as queue:
        await known(queue)
        ids = await submitted(queue, 30)
        await until(queue, ids[0], Status.RUNNING)
        before = starts_in(await queue.raw.get(ids[-1]), queue)
        await queue.drain(0)
    async with memory_queue(engine, queue=ONE_AT_ONCE) as queue:
        await until(queue, ids[0], Status.RUNNING)
        after = starts_in(await queue.raw.get(ids[-1]), queue)
        assert after == pytest.approx(before, rel=0.15)


HOURS = 3 * 3600.0
OVERLOAD = Script(status=503, error="Service Unavailable")


@pytest.mark.parametrize("slots", [1, 4])
@pytest.mark.parametrize("stop", ["pause", "pause of the model", "down", "503"])
async def test_the_first_estimates_after_a_stop_of_hours_are_right(stop, slots, autojump_clock):
    fails = False
    machine = Machine(lambda _: OVERLOAD if fails else None, parallel=slots)
    async with before(machine, max_concurrency=slots) as queue:
        machine.queue = None  # it would ask for the queue's state, and so for its forecast
        model = "m" if stop == "pause of the model" else None

        async def line() -> list[str]:
            return await queue.raw.submit_many([generate() for _ in range(40)])

        for _ in range(7):
            await all_of(queue, await line())
        waiting = await line()
        await trio.sleep(4.1 / slots)  # in the middle of it
        fails = stop == "503"
        machine.down = "gone" if stop == "down" else None
        if "pause" in stop:
            await queue.pause(model)
        await trio.sleep(HOURS)
        fails, machine.down = False, None
        if "pause" in stop:
            await queue.resume(model)
        await all_of(queue, waiting)
        for _ in range(3):
            ids = await line()
            await wait_all_tasks_blocked()  # the first of them have started
            asked_at = queue.raw.now()
            eta = (await queue.raw.get(ids[-1])).eta
            begun = (await ended(queue, ids[-1])).started_at
            assert eta is not None
            assert begun is not None
            told, true = eta.starts.p50 - asked_at, begun - asked_at
            assert told.total_seconds() == pytest.approx(true.total_seconds(), rel=0.5)

"""A model is paused: its tasks wait, over a restart too, and those of others run."""

from __future__ import annotations

import pytest

from oq.store import MemoryEngine
from oq.words.errors import InvalidTask
from oq.words.task import Status
from tests.support.queues import ended, generate, memory_queue


@pytest.mark.parametrize("affinity", [False, True])
async def test_a_paused_model_waits_over_a_restart_and_others_run(autojump_clock, affinity):
    engine = MemoryEngine()
    scheduler = {"affinity": affinity}
    async with memory_queue(engine, scheduler=scheduler) as queue:
        await queue.pause("m:latest")
        waits = (await queue.raw.submit(generate(model="m"))).task_id
        other = (await queue.raw.submit(generate(model="n"))).task_id
        assert (await ended(queue, other)).status is Status.COMPLETED
    async with memory_queue(engine, scheduler=scheduler) as queue:
        assert queue.status().paused_models == ("m",)
        other = (await queue.raw.submit(generate(model="n"))).task_id
        await ended(queue, other)
        task = await queue.raw.get(waits)
        assert (task.status, task.waits_for) == (Status.PENDING, "m is paused")
        await queue.resume()
        assert (await queue.raw.get(waits)).status is Status.PENDING, "that of the queue is another"
        await queue.resume("m")
        assert (await ended(queue, waits)).status is Status.COMPLETED
    async with memory_queue(engine) as queue:
        assert queue.status().paused_models == ()


async def test_what_runs_goes_on_and_what_is_paused_can_be_cancelled(autojump_clock):
    async with memory_queue() as queue:
        with queue.subscribe({"task_started"}) as started:
            runs = (await queue.raw.submit(generate(simulate={"delay": 5}))).task_id
            await anext(started)
        await queue.pause("m")
        waits = (await queue.raw.submit(generate())).task_id
        assert queue.tasks_by_model()["m"].waiting == 1
        assert (await ended(queue, runs)).status is Status.COMPLETED
        await queue.cancel(waits)
        assert queue.tasks_by_model() == {}


async def test_a_model_and_the_queue_are_paused_apart(autojump_clock):
    async with memory_queue() as queue:
        await queue.pause()
        await queue.pause("m")
        task_id = (await queue.raw.submit(generate())).task_id
        await queue.resume("m")
        assert (await queue.raw.get(task_id)).waits_for == "the queue is paused"
        await queue.resume()
        assert (await ended(queue, task_id)).status is Status.COMPLETED
        for wrong in ("", "\n", "x" * 300):
            with pytest.raises(InvalidTask, match="is not a name"):
                await queue.pause(wrong)

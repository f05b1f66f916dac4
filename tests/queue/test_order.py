"""Strict priority, FIFO inside one, and slots that are never over- or under-used."""

from __future__ import annotations

import random

import pytest
import trio

from oq.backends.base import Emit, Request
from oq.backends.simulated import NoopBackend, SimulatedBackend
from oq.queue import Queue
from oq.words.errors import Conflict, NotFound
from oq.words.events import Event, EventType
from oq.words.outcome import Completed
from oq.words.task import Status
from tests.support.queues import collect, ended, generate, memory_queue, until, until_retrying

PRIORITIES = (1, 5, 10, 15)


class CountingBackend(NoopBackend):
    """Checks at each dispatch that every slot is used as far as there is work for it."""

    def __init__(self, slots: int) -> None:
        super().__init__()
        self.slots = slots
        self.running = 0
        self.most = 0
        self.queue: Queue | None = None

    async def run(self, request: Request, emit: Emit) -> Completed:
        self.running += 1
        self.most = max(self.most, self.running)
        assert self.running <= self.slots
        assert self.queue is not None
        status = self.queue.status()
        assert status.workers_active <= self.slots
        if status.queues_by_priority:
            assert status.workers_active == self.slots, "a task waits while a slot is free"
        await trio.sleep(random.random())
        self.running -= 1
        return self._completed


@pytest.mark.parametrize("slots", [1, 4])
async def test_a_thousand_tasks_over_four_priorities_start_in_the_promised_order(
    slots, autojump_clock
):
    backend = CountingBackend(slots)
    async with memory_queue(backend=backend, queue={"max_workers": slots}) as queue:
        backend.queue = queue
        await queue.pause()
        draw = random.Random(7)
        tasks = [generate(priority=draw.choice(PRIORITIES)) for _ in range(1000)]
        ids = await queue.raw.submit_many(tasks)
        promised = [
            task_id for _, task_id in sorted(zip((-t.priority for t in tasks), ids, strict=True))
        ]
        async with trio.open_nursery() as nursery:
            started: list[Event] = []

            async def watch(task_status) -> None:
                with queue.subscribe(types=[EventType.TASK_STARTED]) as events:
                    task_status.started()
                    async for batch in events:
                        started.extend(batch)
                        if len(started) == len(ids):
                            return

            await nursery.start(watch)
            await queue.resume()
    assert [event.task_id for event in started] == promised
    assert backend.most == slots


async def test_a_task_that_comes_later_overtakes_all_that_wait_below_it(autojump_clock):
    async with memory_queue(queue={"max_workers": 1}) as queue:
        await queue.pause()
        low = await queue.raw.submit_many([generate(priority=1) for _ in range(100)])
        urgent = await queue.raw.submit(generate(priority="critical"))
        assert (await queue.raw.get(urgent.task_id)).queue_position == 1
        assert (await queue.raw.get(low[0])).queue_position == 2
        await queue.resume()
        first, second = await collect(
            queue, 2, EventType.TASK_STARTED, after=queue.status().event_seq
        )
        assert (first.task_id, second.task_id) == (urgent.task_id, low[0])


async def test_a_changed_priority_changes_the_place_in_line(autojump_clock):
    async with memory_queue(queue={"max_workers": 1}) as queue:
        await queue.pause()
        ids = await queue.raw.submit_many([generate() for _ in range(3)])
        await queue.set_priority(ids[2], "high")
        assert [(await queue.raw.get(i)).queue_position for i in ids] == [2, 3, 1]
        await queue.set_priority(ids[2], 5)
        assert [(await queue.raw.get(i)).queue_position for i in ids] == [1, 2, 3]


async def test_a_retry_takes_its_old_place_in_line_once_it_is_due(autojump_clock):
    async with memory_queue(queue={"max_workers": 1}) as queue:
        failing = await queue.raw.submit(generate(simulate={"status": 500}, max_retries=1))
        await until_retrying(queue, failing.task_id)
        await queue.pause()
        later = await queue.raw.submit_many([generate() for _ in range(3)])
        await trio.sleep(2)
        assert (await queue.raw.get(failing.task_id)).queue_position == 1
        assert (await queue.raw.get(later[0])).queue_position == 2


async def test_running_and_ended_tasks_keep_their_priority(autojump_clock):
    async with memory_queue() as queue:
        task = await queue.raw.submit(generate(simulate={"delay": 10}))
        await until(queue, task.task_id, Status.RUNNING)
        with pytest.raises(Conflict, match="running"):
            await queue.set_priority(task.task_id, 10)
        await ended(queue, task.task_id)
        with pytest.raises(Conflict, match="completed"):
            await queue.set_priority(task.task_id, 10)
        with pytest.raises(NotFound):
            await queue.set_priority("01900000-0000-7000-8000-000000000000", 10)


async def test_pause_stops_dispatch_and_not_submission(autojump_clock):
    backend = SimulatedBackend()
    async with memory_queue(backend=backend) as queue:
        await queue.pause()
        task = await queue.raw.submit(generate())
        await trio.sleep(1000)
        assert (await queue.raw.get(task.task_id)).status is Status.PENDING
        assert queue.status().paused
        await queue.resume()
        await ended(queue, task.task_id)

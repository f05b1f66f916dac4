"""What a restart finds: retries that wait, tasks that ran, and tasks that killed the process."""

from __future__ import annotations

from contextlib import suppress
from copy import deepcopy

import pytest
import trio

from oq.backends.simulated import SimulatedBackend
from oq.queue import open_queue
from oq.store import MemoryEngine, Store, open_store
from oq.store.keys import pack
from oq.words.config import to_config
from oq.words.errors import StoreCorrupt, StoreLocked
from oq.words.events import EventType, Lagged
from oq.words.task import Status
from tests.support.queues import (
    collect,
    ended,
    generate,
    memory_queue,
    mock_wall_clock,
    settings,
    until,
    until_retrying,
)


class Killed(Exception):
    """Stands for what ends a process without a word."""


async def crash(engine: MemoryEngine, backend: SimulatedBackend, *, when) -> None:
    """Open a queue, let `when` do something with it, and end it as SIGKILL does: what leaving the
    block writes is undone.
    """
    with suppress(Killed):
        async with memory_queue(engine, backend) as queue:
            await when(queue)
            written = deepcopy(engine._families)
            raise Killed
    engine._families = written


async def test_a_retry_that_waits_survives_a_restart_and_runs_when_due(autojump_clock):
    engine, backend = MemoryEngine(), SimulatedBackend()
    retry = {"initial_delay": "20s"}
    async with memory_queue(engine, backend, retry_config=retry) as queue:
        accepted = await queue.raw.submit(generate(simulate={"status": 500}, max_retries=1))
        waiting = await until_retrying(queue, accepted.task_id)
        assert waiting.run_at is not None
    async with memory_queue(engine, backend, retry_config=retry) as queue:
        assert queue.status().retrying_tasks == 1
        await trio.sleep(19)
        assert len(backend.simulator.calls) == 1
        task = await ended(queue, accepted.task_id, within=2)
        assert (task.retry_count, len(task.attempts)) == (1, 2)
        assert task.attempts[1].started_at >= waiting.run_at


async def test_a_shutdown_lets_running_tasks_end(autojump_clock):
    engine, backend = MemoryEngine(), SimulatedBackend()
    async with memory_queue(engine, backend) as queue:
        accepted = await queue.raw.submit(generate(simulate={"delay": 20}))
        await until(queue, accepted.task_id, Status.RUNNING)
    assert Store(engine).state(accepted.task_id).status is Status.COMPLETED


async def test_a_shutdown_puts_back_what_does_not_end_in_time_and_burns_no_retry(autojump_clock):
    engine, backend = MemoryEngine(), SimulatedBackend()
    async with memory_queue(engine, backend) as queue:
        accepted = await queue.raw.submit(generate(simulate={"delay": 100}, max_retries=0))
        behind = await queue.raw.submit(generate())
        await until(queue, accepted.task_id, Status.RUNNING)
    state = Store(engine).state(accepted.task_id)
    assert (state.status, state.retry_count, state.deaths) == (Status.PENDING, 0, 0)
    async with memory_queue(engine, backend) as queue:
        task = await ended(queue, accepted.task_id)
        assert (task.status, len(task.attempts)) == (Status.COMPLETED, 2)
        assert "shut down" in task.attempts[0].error
        assert (await ended(queue, behind.task_id)).status is Status.COMPLETED


async def test_a_task_that_ran_at_a_crash_runs_again(autojump_clock):
    engine, backend = MemoryEngine(), SimulatedBackend()

    async def start(queue) -> None:
        self_id.append((await queue.raw.submit(generate(simulate={"delay": 50}))).task_id)
        await until(queue, self_id[0], Status.RUNNING)

    self_id: list[str] = []
    await crash(engine, backend, when=start)
    async with memory_queue(engine, backend) as queue:
        task = await ended(queue, self_id[0])
        assert (task.status, task.retry_count) == (Status.COMPLETED, 0)
        assert "oq stopped" in task.attempts[0].error


async def test_subscribers_that_come_back_hear_what_recovery_did(autojump_clock):
    engine, backend = MemoryEngine(), SimulatedBackend()
    heard: list[int] = []

    async def start(queue) -> None:
        task_id = await queue.submit(generate(simulate={"fault": "hang"}))
        await until(queue, task_id, Status.RUNNING)
        (started,) = await collect(queue, 1, EventType.TASK_STARTED, after=0)
        heard.append(started.seq)

    await crash(engine, backend, when=start)
    async with memory_queue(engine, backend) as queue:
        await queue.pause()
        (event,) = await collect(queue, 1, after=heard[0])
        assert event.type is EventType.TASK_RETRYING
        assert "oq stopped" in event.data["reason"]


async def test_a_task_that_keeps_killing_the_process_fails_as_poison(autojump_clock):
    engine, backend = MemoryEngine(), SimulatedBackend()
    async with memory_queue(engine, backend) as queue:
        await queue.pause()
        accepted = await queue.raw.submit(generate(simulate={"fault": "hang"}, max_retries=2))

    async def run(queue) -> None:
        if queue.status().paused:
            await queue.resume()
        await until(queue, accepted.task_id, Status.RUNNING)

    for _ in range(3):
        assert Store(engine).state(accepted.task_id).status is not Status.FAILED
        await crash(engine, backend, when=run)
    async with memory_queue(engine, backend) as queue:
        task = await queue.raw.get(accepted.task_id)
        assert task.status is Status.FAILED
        assert "poison" in task.error
        assert len(task.attempts) == 3


async def test_a_pause_survives_a_restart(autojump_clock):
    engine = MemoryEngine()
    async with memory_queue(engine) as queue:
        await queue.pause()
        accepted = await queue.raw.submit(generate())
    async with memory_queue(engine) as queue:
        await trio.sleep(100)
        assert queue.status().paused
        assert (await queue.raw.get(accepted.task_id)).status is Status.PENDING


async def test_event_numbers_go_on_after_a_restart(autojump_clock):
    engine = MemoryEngine()
    async with memory_queue(engine) as queue:
        await queue.raw.submit(generate())
        await collect(queue, 1, EventType.TASK_COMPLETED, after=0)
        before = queue.status().event_seq
    async with memory_queue(engine) as queue:
        assert queue.status().event_seq == before == 3
        with queue.subscribe(after=1) as events:
            (lagged,) = await events.__anext__()
            assert lagged.missed == 2


async def test_a_directory_that_is_open_says_who_has_it(tmp_path):
    store = open_store(str(tmp_path))
    try:
        with pytest.raises(StoreLocked, match=r"in use by process \d+"):
            open_store(str(tmp_path))
    finally:
        store.close()


async def test_what_is_on_disk_is_there_after_a_restart(tmp_path):
    config = to_config(settings(queue={"storage_path": str(tmp_path)}))
    backend = SimulatedBackend()
    async with open_queue(config, backends=[backend]) as queue:
        first = await queue.raw.submit(generate("one"))
        await ended(queue, first.task_id)
        await queue.pause()
        second = await queue.raw.submit(generate("two", priority=15))
    async with open_queue(config, backends=[backend], clock=mock_wall_clock()) as queue:
        assert (await queue.raw.get(first.task_id)).status is Status.COMPLETED
        task = await queue.raw.get(second.task_id)
        assert (task.status, task.priority, task.queue_position) == (Status.PENDING, 15, 1)


async def test_an_error_in_the_block_comes_out_as_itself(autojump_clock):
    with pytest.raises(ZeroDivisionError):
        async with memory_queue():
            raise ZeroDivisionError


async def test_a_task_whose_body_the_disk_has_damaged_fails_alone(autojump_clock):
    class Damaged(MemoryEngine):
        damaged = b""

        def get(self, family, key):
            if family == "body" and key == self.damaged:
                raise StoreCorrupt("block checksum mismatch")
            return super().get(family, key)

    engine = Damaged()
    async with memory_queue(engine) as queue:
        await queue.pause()
        bad, good = await queue.submit_many([generate("bad"), generate("good")])
    engine.damaged = pack(bad)
    async with memory_queue(engine) as queue:
        await queue.resume()
        await ended(queue, good)
        engine.damaged = b""
        task = await ended(queue, bad)
        assert (task.status, task.retry_count) == (Status.FAILED, 0)
        assert "cannot be read" in task.error


async def test_who_comes_back_after_a_restart_is_told_what_it_missed(autojump_clock):
    """A task that ends while the queue drains is told under a number; nobody may have heard it."""
    engine = MemoryEngine()
    async with memory_queue(engine) as queue:
        with queue.subscribe() as events:
            await queue.submit(generate())
            seen = (await anext(events))[-1].seq
    async with memory_queue(engine) as queue:
        with queue.subscribe(after=seen) as events:
            assert await anext(events) == [Lagged(queue._core.hub.seq - seen)]
        with queue.subscribe(after=queue._core.hub.seq) as events:
            submitted = await queue.submit(generate())
            assert (await anext(events))[0].task_id == submitted

"""A full disk: who asks is refused, what has happened is kept, and space that is back is used."""

from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from oq.actors.writer import BACKLOG, RETRY_INTERVAL
from oq.backends.simulated import SimulatedBackend
from oq.queue import open_queue
from oq.queue.core import VERB_TIMEOUT
from oq.queue.wiring import MAILBOX
from oq.rules.filters import TaskFilter
from oq.store import MemoryEngine, Store
from oq.store.rocks import RocksEngine
from oq.store.shutdown_note import ShutdownNote
from oq.words.config import to_config
from oq.words.errors import StoreError, StoreFull, Unavailable
from oq.words.task import Status
from tests.support.queues import ended, generate, memory_queue, settings, until


class Small(MemoryEngine):
    """An engine whose disk can be filled."""

    full = False

    def write(self, batch):
        if self.full:
            raise StoreFull("no space left on the disk")
        super().write(batch)


async def until_it_is_noticed(queue) -> None:
    """Have the queue find out that its disk is full."""
    with pytest.raises(Unavailable, match="no space left"):
        await queue.raw.submit(generate())


async def test_a_submit_that_does_not_fit_is_refused_and_leaves_nothing(autojump_clock):
    engine = Small()
    async with memory_queue(engine) as queue:
        engine.full = True
        await until_it_is_noticed(queue)
        assert queue.status().problem == "no space left on the disk"
        with pytest.raises(Unavailable, match="no space left"):
            queue.raw.check_ready()
        assert (queue.status().total_tasks, (await queue.raw.list(TaskFilter())).tasks) == (0, [])
        engine.full = False


async def test_an_idle_queue_takes_tasks_again_once_there_is_space(autojump_clock):
    engine = Small()
    async with memory_queue(engine) as queue:
        engine.full = True
        await until_it_is_noticed(queue)
        engine.full = False
        await trio.sleep(10 * RETRY_INTERVAL)
        assert queue.status().problem is None
        accepted = await queue.raw.submit(generate())
        assert (await ended(queue, accepted.task_id)).status is Status.COMPLETED


async def test_what_ended_while_the_disk_was_full_has_ended_once_there_is_space(autojump_clock):
    engine, backend = Small(), SimulatedBackend()
    async with memory_queue(engine, backend) as queue:
        accepted = await queue.raw.submit(generate(simulate={"delay": 5}))
        await until(queue, accepted.task_id, Status.RUNNING)
        engine.full = True
        await trio.sleep(60)
        task = await queue.raw.get(accepted.task_id)
        assert task.status is Status.RUNNING, "nothing is told that is not on disk"
        engine.full = False
        task = await ended(queue, accepted.task_id, within=2 * RETRY_INTERVAL)
        assert (task.status, len(task.attempts)) == (Status.COMPLETED, 1)
        assert len(backend.simulator.calls) == 1, "it did not run again"
        await queue.raw.submit(generate())


async def test_a_cancel_that_does_not_fit_says_so_and_takes_effect_later(autojump_clock):
    engine = Small()
    async with memory_queue(engine) as queue:
        await queue.pause()
        accepted = await queue.raw.submit(generate())
        engine.full = True
        began = trio.current_time()
        with pytest.raises(Unavailable, match="takes effect as soon as it is"):
            await queue.cancel(accepted.task_id)
        assert trio.current_time() - began == pytest.approx(VERB_TIMEOUT)
        engine.full = False
        task = await ended(queue, accepted.task_id, within=2 * RETRY_INTERVAL)
        assert task.status is Status.CANCELLED


async def test_a_shutdown_on_a_full_disk_ends_and_what_was_lost_runs_again(autojump_clock):
    engine = Small()
    async with memory_queue(engine) as queue:
        accepted = await queue.raw.submit(generate(simulate={"delay": 5}))
        await until(queue, accepted.task_id, Status.RUNNING)
        engine.full = True
    assert Store(engine).state(accepted.task_id).status is Status.RUNNING
    engine.full = False
    async with memory_queue(engine) as queue:
        await wait_all_tasks_blocked()
        task = await ended(queue, accepted.task_id)
        assert (task.status, len(task.attempts)) == (Status.COMPLETED, 2)


@pytest.mark.parametrize("starts_in_vain", [0, 2])
async def test_a_stop_on_a_full_disk_is_no_death(starts_in_vain, tmp_path, monkeypatch):
    """Nor are the starts after it that fail before they have looked at the tasks."""
    config = to_config(settings(queue={"storage_path": str(tmp_path), "drain_timeout": 0}))
    write = RocksEngine.write
    full = False

    def maybe(engine, batch):
        if full:
            raise StoreFull("no space left on the disk")
        write(engine, batch)

    monkeypatch.setattr(RocksEngine, "write", maybe)
    async with open_queue(config, backends=[SimulatedBackend()]) as queue:
        accepted = await queue.raw.submit(generate(simulate={"fault": "hang"}, max_retries=0))
        await until(queue, accepted.task_id, Status.RUNNING)
        full = True
    full = False
    real = SimulatedBackend()
    real.kind = "ollama"
    for _ in range(starts_in_vain):
        with pytest.raises(StoreError, match="simulation"):
            async with open_queue(config, backends=[real]):
                pass
    async with open_queue(config, backends=[SimulatedBackend()]) as queue:
        task = await queue.raw.get(accepted.task_id)
        assert (task.status.ended, len(task.attempts)) == (False, 1), task.error
        assert "shut down" in task.attempts[0].error
        assert not ShutdownNote(str(tmp_path)).is_there()
        await queue.cancel(accepted.task_id)


def no_sync(engine, commit):
    raise StoreError("the disk did not keep what was written")


def no_quota(engine, batch):
    raise StoreError("IO error: Disk quota exceeded")


@pytest.mark.parametrize(("verb", "fails"), [("sync", no_sync), ("write", no_quota)])
async def test_an_end_by_a_disk_that_fails_is_no_death(verb, fails, tmp_path, monkeypatch):
    config = to_config(settings(queue={"storage_path": str(tmp_path)}))
    ids: list[str] = []

    async def use() -> None:
        async with open_queue(config, backends=[SimulatedBackend()]) as queue:
            ids.append(await queue.submit(generate(simulate={"fault": "hang"}, max_retries=0)))
            await until(queue, ids[0], Status.RUNNING)
            monkeypatch.setattr(RocksEngine, verb, fails)
            await queue.submit(generate())

    with pytest.raises(StoreError):
        await use()
    monkeypatch.undo()
    async with open_queue(config, backends=[SimulatedBackend()]) as queue:
        task = await queue.raw.get(ids[0])
        assert (task.status.ended, len(task.attempts)) == (False, 1), task.error
        assert "shut down" in task.attempts[0].error
        await queue.cancel(ids[0])


@pytest.mark.slow  # thousands of tasks that end
async def test_a_full_disk_stops_work_before_it_piles_up(autojump_clock):
    engine, backend = Small(), SimulatedBackend()
    async with memory_queue(engine, backend, queue={"max_pending": 10_000}) as queue:
        await queue.pause()
        await queue.raw.submit_many([generate()] * 5000)
        await queue.resume()
        engine.full = True
        await trio.sleep(1000 * RETRY_INTERVAL)
        assert len(backend.simulator.calls) < 2 * (BACKLOG + MAILBOX)
        engine.full = False
        await trio.sleep(10 * RETRY_INTERVAL)
        await wait_all_tasks_blocked()
        status = queue.status()
        assert (status.completed_tasks, status.problem) == (5000, None)

"""Results are kept for a time, up to a number, and those of batches until somebody has read them;
who comes too late is told so.
"""

from __future__ import annotations

import httpx
import pytest
import trio
from msgspec.structs import replace

from oq.actors.janitor import AT_ONCE, Janitor
from oq.actors.reads import Reads
from oq.backends.simulated import SimulatedBackend
from oq.client.failures import refusal
from oq.queue import Queue, open_queue
from oq.rules.retention import Retention
from oq.store import KeyValueLedger, MemoryEngine, Store
from oq.words.clock import Clock
from oq.words.config import Config, to_config
from oq.words.errors import Busy, NotFound, Removed, Unavailable
from oq.words.messages import BulkCommand, Commit
from oq.words.steps import IdsForgotten, Removal
from oq.words.task import Status
from tests.support.builders import at, finish, new, start, task_id
from tests.support.http import GENERATE, api
from tests.support.queues import EPOCH, ended, generate, memory_queue, mock_wall_clock
from tests.support.queues import settings as queue_settings
from tests.support.stores import assert_consistent

DAY = 86400.0
HOUR = 3600.0


async def let_all_end(queue: Queue) -> None:
    """Return when no task waits or runs."""
    with queue.subscribe() as events:
        while (status := queue.status()).pending_tasks + status.running_tasks:
            await anext(events)


async def is_kept(queue: Queue, task_id: str) -> bool:
    """Whether a task is there, without reading it."""
    return any(task.id == task_id for task in await queue.list())


@pytest.mark.slow
async def test_a_night_of_results_is_there_in_the_morning(autojump_clock):
    async with memory_queue() as queue:
        ids = [(await queue.raw.submit(generate())).task_id for _ in range(1500)]
        await let_all_end(queue)
        await trio.sleep(12 * HOUR)
        assert queue.status().completed_tasks == 1500
        assert (await queue.raw.get(ids[0])).status is Status.COMPLETED


def test_the_default_keeps_two_nights_batches_for_a_week():
    kept = Config().queue
    assert (kept.max_completed_tasks, kept.keep_completed) == (100_000, 7 * DAY)


async def test_a_task_goes_when_its_time_is_over_and_who_asks_is_told_so(autojump_clock):
    async with memory_queue(queue={"keep_completed": "7d"}) as queue:
        task_id = (await queue.raw.submit(generate())).task_id
        await ended(queue, task_id)
        await trio.sleep(7 * DAY - 2 * HOUR)
        await queue.raw.get(task_id)
        await trio.sleep(4 * HOUR)
        for verb in (queue.raw.get, queue.result, queue.cancel, queue.retry, queue.delete):
            with pytest.raises(Removed, match=f"{task_id} had ended, and was removed by retention"):
                await verb(task_id)
        with pytest.raises(Removed, match="keep_completed"):
            async with queue.stream(task_id) as chunks:
                await anext(chunks)


async def test_what_its_user_deleted_is_just_not_there(autojump_clock):
    async with memory_queue() as queue:
        task_id = (await queue.raw.submit(generate())).task_id
        await ended(queue, task_id)
        await queue.delete(task_id)
        with pytest.raises(NotFound) as raised:
            await queue.raw.get(task_id)
        assert not isinstance(raised.value, Removed)


async def _batch(queue: Queue) -> list[str]:
    return await queue.submit_many([generate() for _ in range(20)])


async def _keyed(queue: Queue) -> list[str]:
    return [
        (await queue.raw.submit(generate(), idempotency_key=f"line-{n}")).task_id for n in range(20)
    ]


@pytest.mark.parametrize("submit", [_batch, _keyed])
async def test_a_batch_is_kept_until_it_was_read(submit, autojump_clock):
    engine = MemoryEngine()
    async with memory_queue(engine, queue={"max_completed_tasks": 5}) as queue:
        batch = await submit(queue)
        for _ in range(20):
            await queue.raw.submit(generate())
        await let_all_end(queue)
        await trio.sleep(2 * HOUR)
        assert queue.status().total_tasks == 25, "those, and five of the others"
        for task_id in batch[:12]:
            await queue.raw.get(task_id)
        await trio.sleep(2 * HOUR)
        assert queue.status().total_tasks == 8 + 5
        for task_id in batch[12:]:
            assert (await queue.raw.get(task_id)).status is Status.COMPLETED
    assert_consistent(Store(engine), engine)


async def test_a_stream_to_its_end_is_read_too(autojump_clock):
    async with memory_queue(queue={"max_completed_tasks": 1}) as queue:
        [read, unread] = await queue.submit_many([generate(), generate()])
        await let_all_end(queue)
        async with queue.stream(read) as chunks:
            assert [chunk async for chunk in chunks][-1].done
        await queue.raw.submit(generate())
        await let_all_end(queue)
        await trio.sleep(2 * HOUR)
        assert await is_kept(queue, unread)
        assert not await is_kept(queue, read)


async def test_a_listing_does_not_read_a_result(autojump_clock):
    async with memory_queue(queue={"max_completed_tasks": 1}) as queue:
        ids = await _batch(queue)
        await let_all_end(queue)
        await queue.list()
        await trio.sleep(2 * HOUR)
        assert len(await queue.list()) == len(ids)


async def test_what_was_read_is_known_after_a_restart(autojump_clock):
    engine = MemoryEngine()
    async with memory_queue(engine, queue={"max_completed_tasks": 2}) as queue:
        ids = await _batch(queue)
        await let_all_end(queue)
        for task_id in ids[:10]:
            await queue.raw.get(task_id)
    async with memory_queue(engine, queue={"max_completed_tasks": 2}) as queue:
        await trio.sleep(2 * HOUR)
        assert queue.status().total_tasks == 10 + 2
    assert_consistent(Store(engine), engine)


async def test_a_batch_goes_unread_when_its_time_is_over(autojump_clock):
    async with memory_queue(queue={"keep_completed": "2d"}) as queue:
        [task_id] = await queue.submit_many([generate()])
        await let_all_end(queue)
        await trio.sleep(2 * DAY + 2 * HOUR)
        with pytest.raises(Removed):
            await queue.raw.get(task_id)


async def test_even_unread_results_have_a_bound(autojump_clock):
    engine = MemoryEngine()
    async with memory_queue(engine, queue={"max_unread_tasks": 7}) as queue:
        await _batch(queue)
        await let_all_end(queue)
        await trio.sleep(2 * HOUR)
        assert queue.status().total_tasks == 7
    assert_consistent(Store(engine), engine)


async def test_a_result_that_is_made_again_is_unread_again(autojump_clock):
    engine = MemoryEngine()
    backend = SimulatedBackend()
    async with memory_queue(engine, backend, queue={"max_completed_tasks": 1}) as queue:
        [task_id] = await queue.submit_many([generate(simulate={"status": 400})])
        await ended(queue, task_id)
        await trio.sleep(2 * HOUR)
        await queue.retry(task_id)
        await let_all_end(queue)
        for _ in range(5):
            await queue.raw.submit(generate())
        await let_all_end(queue)
        await trio.sleep(2 * HOUR)
        assert await is_kept(queue, task_id)
    assert_consistent(Store(engine), engine)


class Turns(trio.abc.Instrument):
    """Counts the turns of the event loop."""

    def __init__(self) -> None:
        self.count = 0

    def before_io_wait(self, timeout: float) -> None:
        self.count += 1


async def test_many_tasks_are_removed_in_few_turns_of_the_event_loop(autojump_clock):
    """Under load a turn takes long: with one for each task more would end than are removed."""
    async with memory_queue(queue={"max_unread_tasks": 0, "max_completed_tasks": 1}) as queue:
        ids = await queue.submit_many([generate() for _ in range(1000)])
        await let_all_end(queue)
        for task_id in ids:
            await queue.raw.get(task_id)
        turns = Turns()
        trio.lowlevel.add_instrument(turns)
        await trio.sleep(2 * HOUR)
        trio.lowlevel.remove_instrument(turns)
        assert queue.status().total_tasks == 1
        assert turns.count < 300


class CleanUp:
    """A janitor over a store in memory, whose wishes are carried out as the test says."""

    def __init__(self, **keep: int) -> None:
        nothing = dict.fromkeys(("tasks", "seconds", "unread", "removed", "removed_seconds"), 0)
        ledger = KeyValueLedger(MemoryEngine())
        self.store = ledger.store
        self.at_once = 0
        """The most ids of removed tasks that were forgotten in one step."""
        to_scheduler, self._commands = trio.open_memory_channel[BulkCommand](10)
        to_writer, self._commits = trio.open_memory_channel[Commit](10)
        self.reads = Reads(to_writer)
        self._janitor = Janitor(
            ledger, mock_wall_clock(), Retention(**nothing | keep), HOUR, self.reads,
            to_scheduler, to_writer,
        )  # fmt: skip

    def end(self, number: int, when: float) -> None:
        """A task that has ended then."""
        started = start(new(number).state).state
        self.store.write([new(number), finish(started, now=at(when))], number)

    async def run(self, *, busy_with: str = "", full: bool = False) -> int:
        """Clean up; how many tasks went. The scheduler is busy with one, or the disk is full."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._schedule, busy_with)
            nursery.start_soon(self._write, full)
            removed = await self._janitor.clean()
            nursery.cancel_scope.cancel()
        return removed

    async def _schedule(self, busy_with: str) -> None:
        async for command in self._commands:
            for each in command.left:
                if each != busy_with:
                    retired = mock_wall_clock().now() if command.retired else None
                    self.store.write([Removal(self.store.state(each), retired)], 3)
                command.answer(each, Busy() if each == busy_with else None)

    async def _write(self, full: bool) -> None:
        async for commit in self._commits:
            steps = [step for step in commit.steps if isinstance(step, IdsForgotten)]
            self.at_once = max(self.at_once, *(len(step.task_ids) for step in steps), 0)
            if not full:
                self.store.write(commit.steps, 3)
            commit.receipt.settle(Unavailable("the disk is full") if full else None)


async def test_a_removal_that_is_refused_comes_with_the_next_clean_up(autojump_clock):
    clean_up = CleanUp(tasks=1)
    for number in (1, 2, 3):
        clean_up.end(number, number)
    assert await clean_up.run(busy_with=task_id(1)) == 1
    assert await clean_up.run() == 1
    assert [ended.task_id for ended in clean_up.store.oldest_ended(10)] == [task_id(3)]


async def test_what_ended_by_a_clock_that_was_set_back_is_found_all_the_same(autojump_clock):
    """It lies before what was removed already, where nobody looks otherwise."""
    clean_up = CleanUp(tasks=1)
    for number in (1, 2, 3):
        clean_up.end(number, 100 + number)
    assert await clean_up.run() == 2
    for number in (4, 5):
        clean_up.end(number, number)
    assert await clean_up.run() == 2
    assert clean_up.store.facts.ended == 1


async def test_what_ended_by_a_clock_that_was_set_back_is_kept_a_day_too_long_at_most(
    autojump_clock,
):
    clean_up = CleanUp(seconds=HOUR)
    began = mock_wall_clock().now() - at(0)
    clean_up.end(1, began.total_seconds())
    assert await clean_up.run() == 0
    await trio.sleep(2 * HOUR)
    assert await clean_up.run() == 1
    clean_up.end(2, began.total_seconds() - HOUR)
    await trio.sleep(2 * HOUR)
    assert await clean_up.run() == 0, "it lies where nobody looks mostly"
    await trio.sleep(DAY)
    assert await clean_up.run() == 1
    assert clean_up.store.facts.ended == 0


async def test_ids_that_a_full_disk_keeps_are_forgotten_when_it_has_space(autojump_clock):
    clean_up = CleanUp(tasks=1, removed=10, removed_seconds=60)
    for number in (1, 2):
        clean_up.end(number, number)
    assert await clean_up.run() == 1
    await trio.sleep(61)
    assert await clean_up.run(full=True) == 0
    assert clean_up.store.facts.gone == 1
    assert await clean_up.run() == 0
    assert clean_up.store.facts.gone == 0


async def test_when_far_fewer_ids_may_be_known_they_are_forgotten_some_at_a_time(autojump_clock):
    """One step with all of them would hold up everybody."""
    clean_up = CleanUp(tasks=1, removed=10)
    for number in range(1, 3 * AT_ONCE):
        clean_up.end(number, number)
        clean_up.store.write([Removal(clean_up.store.state(task_id(number)), at(number))], 3)
    for number in (3 * AT_ONCE, 3 * AT_ONCE + 1):
        clean_up.end(number, number)
    assert await clean_up.run(full=True) == 1
    assert clean_up.store.facts.gone == 3 * AT_ONCE
    clean_up.end(3 * AT_ONCE + 2, 3 * AT_ONCE + 2)
    assert await clean_up.run() == 1
    assert clean_up.store.facts.gone == 10
    assert 0 < clean_up.at_once <= AT_ONCE


async def test_of_removed_tasks_so_many_ids_are_known_for_so_long(autojump_clock):
    engine = MemoryEngine()
    bounds = {"max_completed_tasks": 1, "max_removed_ids": 10, "keep_removed_ids": "30d"}
    async with memory_queue(engine, queue=bounds) as queue:
        ids = [(await queue.raw.submit(generate())).task_id for _ in range(31)]
        await let_all_end(queue)
        await trio.sleep(2 * HOUR)
        told = [await _told(queue, task_id) for task_id in ids]
        assert told == [NotFound] * 20 + [Removed] * 10 + [None]
        await trio.sleep(31 * DAY)
        assert {await _told(queue, task_id) for task_id in ids[:30]} == {NotFound}
    assert_consistent(Store(engine), engine)


async def test_no_id_is_remembered_where_none_is_wanted(autojump_clock):
    bounds = {"max_completed_tasks": 1, "max_removed_ids": 0}
    async with memory_queue(queue=bounds) as queue:
        ids = [(await queue.raw.submit(generate())).task_id for _ in range(3)]
        await let_all_end(queue)
        await trio.sleep(2 * HOUR)
        assert [await _told(queue, task_id) for task_id in ids] == [NotFound, NotFound, None]


@pytest.mark.parametrize(("removed", "known"), [(0, 0), (2, 2)])
async def test_ids_of_before_go_when_the_settings_allow_fewer(removed, known, autojump_clock):
    """Also when nothing is removed any more."""
    engine = MemoryEngine()
    async with memory_queue(engine, queue={"max_completed_tasks": 1}) as queue:
        ids = [(await queue.raw.submit(generate())).task_id for _ in range(5)]
        await let_all_end(queue)
        await trio.sleep(2 * HOUR)
        assert [await _told(queue, task_id) for task_id in ids] == [Removed] * 4 + [None]
    async with memory_queue(engine, queue={"max_removed_ids": removed}) as queue:
        await trio.sleep(2 * HOUR)
        told = [await _told(queue, task_id) for task_id in ids]
        assert told == [NotFound] * (4 - known) + [Removed] * known + [None]
    assert_consistent(Store(engine), engine)


async def test_what_was_read_while_the_disk_was_full_is_noted_when_it_has_space(autojump_clock):
    clean_up = CleanUp(tasks=1)
    submitted = new(1)
    waits = replace(submitted, state=replace(submitted.state, awaited=True))
    clean_up.store.write([waits, finish(start(waits.state).state, now=at(1))], 1)
    clean_up.reads.note(clean_up.store.state(task_id(1)))
    await clean_up.run(full=True)
    assert clean_up.store.facts.unread == 1
    await clean_up.run()
    assert clean_up.store.facts.unread == 0


async def _told(queue: Queue, task_id: str) -> type[Exception] | None:
    try:
        await queue.raw.get(task_id)
    except NotFound as error:
        return type(error)
    return None


async def test_a_clock_that_jumps_for_a_moment_removes_nothing(autojump_clock):
    wrong = 0.0
    clock = Clock(lambda: EPOCH + trio.current_time() + wrong)
    async with open_queue(
        to_config(queue_settings()), backends=[SimulatedBackend()],
        ledger=KeyValueLedger(MemoryEngine()), clock=clock,
    ) as queue:  # fmt: skip
        task_id = (await queue.raw.submit(generate())).task_id
        await ended(queue, task_id)
        await trio.sleep(10.5 * HOUR)
        wrong = 365 * DAY
        await trio.sleep(1 * HOUR)  # the janitor has looked once meanwhile
        wrong = 0.0
        await trio.sleep(10 * HOUR)
        assert await is_kept(queue, task_id)


async def test_a_queue_that_starts_with_a_wrong_clock_removes_nothing_at_once(autojump_clock):
    engine = MemoryEngine()
    async with memory_queue(engine) as queue:
        task_id = (await queue.raw.submit(generate())).task_id
        await ended(queue, task_id)
    wrong = 365 * DAY
    clock = Clock(lambda: EPOCH + trio.current_time() + wrong)
    async with open_queue(
        to_config(queue_settings()), backends=[SimulatedBackend()],
        ledger=KeyValueLedger(engine), clock=clock,
    ) as queue:  # fmt: skip
        await trio.sleep(0.5 * HOUR)
        wrong = 0.0
        await trio.sleep(10 * HOUR)
        assert await is_kept(queue, task_id)


async def test_the_answer_for_a_removed_task_is_410(autojump_clock):
    async with api(queue={"max_completed_tasks": 1, "cleanup_interval": "1m"}) as oq:
        ids = [await oq.submit(GENERATE) for _ in range(2)]
        for task_id in ids:
            await oq.ended(task_id)
        await trio.sleep(90)
        for path in (f"/api/tasks/{ids[0]}", f"/api/tasks/{ids[0]}/stream"):
            reply = await oq.get(path)
            assert (reply.status, "removed by retention" in reply.error) == (410, True)


def test_a_client_raises_the_same():
    removed = httpx.Response(410, json={"error": "task 1 was removed by retention"})
    raised = refusal(removed, "http://here", "1")
    assert isinstance(raised, Removed)
    assert (raised.task_id, str(raised)) == ("1", "task 1 was removed by retention")

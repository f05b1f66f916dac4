"""A task's life in a running queue: retries, timeouts, cancels, backends that come and go."""

from __future__ import annotations

import json
from datetime import timedelta
from itertools import pairwise

import msgspec
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from oq.backends.base import Emit, Request
from oq.backends.simulated import NoopBackend, SimulatedBackend, Simulator
from oq.queue import open_queue
from oq.store import KeyValueLedger, MemoryEngine
from oq.words.clock import Clock
from oq.words.config import to_config
from oq.words.errors import Conflict, InvalidBatch, InvalidTask, NotFound, QueueFull, Unavailable
from oq.words.events import EventType
from oq.words.outcome import Completed
from oq.words.task import Status, Submission
from tests.support.queues import (
    EPOCH,
    ended,
    generate,
    memory_queue,
    mock_wall_clock,
    settings,
    until,
    until_retrying,
)


async def test_a_task_runs_and_its_result_is_the_backends_own_answer(autojump_clock):
    async with memory_queue() as queue:
        accepted = await queue.raw.submit(generate(simulate={"text": "Paris."}))
        assert accepted.status is Status.PENDING
        task = await ended(queue, accepted.task_id)
        assert task.status is Status.COMPLETED
        assert json.loads(bytes(task.result))["response"] == "Paris."
        assert task.usage.completion_tokens > 0
        (attempt,) = task.attempts
        assert (attempt.error, attempt.backend) == (None, "simulated")
        assert task.created_at <= task.started_at <= task.completed_at


async def test_an_attempt_says_how_long_it_waited_for_its_model(autojump_clock):
    backend = SimulatedBackend(simulator=Simulator(load=2))
    async with memory_queue(MemoryEngine(), backend) as queue:
        accepted = await queue.raw.submit(generate(simulate={"text": "Paris."}))
        (attempt,) = (await ended(queue, accepted.task_id)).attempts
        assert attempt.load == pytest.approx(2)
        assert attempt.waited_inside == pytest.approx(0)


async def test_a_failed_attempt_is_retried_with_backoff_and_then_fails(autojump_clock):
    async with memory_queue() as queue:
        accepted = await queue.raw.submit(generate(simulate={"status": 500}, max_retries=3))
        task = await ended(queue, accepted.task_id)
        assert task.status is Status.FAILED
        assert (task.retry_count, len(task.attempts)) == (3, 4)
        starts = [attempt.started_at for attempt in task.attempts]
        gaps = [(b - a).total_seconds() for a, b in pairwise(starts)]
        assert gaps == pytest.approx([1, 2, 4], abs=0.1)
        assert all("simulated error" in attempt.error for attempt in task.attempts)


async def test_what_can_never_work_is_not_retried(autojump_clock):
    async with memory_queue() as queue:
        accepted = await queue.raw.submit(generate(simulate={"status": 400}))
        task = await ended(queue, accepted.task_id)
        assert (task.status, task.retry_count, len(task.attempts)) == (Status.FAILED, 0, 1)


@pytest.mark.parametrize(("asked", "waits"), [("20", 20), ("3600", 30)])
async def test_a_backends_retry_after_is_honoured_up_to_the_longest_delay(
    autojump_clock, asked, waits
):
    async with memory_queue(retry_config={"max_delay": 30}) as queue:
        accepted = await queue.raw.submit(
            generate(simulate={"status": 503, "retry_after": asked}, max_retries=1)
        )
        task = await queue.raw.get(accepted.task_id)
        while len(task.attempts) < 2:  # it goes on like this for as long as the backend is busy
            await trio.sleep(1)
            task = await queue.raw.get(accepted.task_id)
        first, second, *_ = task.attempts
        assert second.started_at - first.ended_at == timedelta(seconds=waits)


async def test_the_tasks_own_timeout_ends_the_attempt(autojump_clock):
    async with memory_queue() as queue:
        accepted = await queue.raw.submit(
            generate(simulate={"fault": "hang"}, timeout="5s", max_retries=0)
        )
        task = await ended(queue, accepted.task_id, within=6)
        assert task.status is Status.FAILED
        assert "5s" in task.error


async def test_a_task_that_waits_can_be_cancelled_for_good(autojump_clock):
    async with memory_queue() as queue:
        await queue.pause()
        accepted = await queue.raw.submit(generate())
        await queue.cancel(accepted.task_id)
        assert (await queue.raw.get(accepted.task_id)).status is Status.CANCELLED
        with pytest.raises(Conflict, match="cancelled already"):
            await queue.cancel(accepted.task_id)
        await queue.resume()
        await trio.sleep(10)
        assert (await queue.raw.get(accepted.task_id)).attempts == ()


async def test_cancelling_a_running_task_stops_the_backend_and_is_no_failure(autojump_clock):
    backend = SimulatedBackend()
    async with memory_queue(backend=backend) as queue:
        accepted = await queue.raw.submit(generate(simulate={"fault": "hang"}))
        await until(queue, accepted.task_id, Status.RUNNING)
        await queue.cancel(accepted.task_id)
        task = await queue.raw.get(accepted.task_id)
        assert (task.status, task.retry_count) == (Status.CANCELLED, 0)
        await trio.sleep(1000)
        assert (await queue.raw.get(accepted.task_id)).status is Status.CANCELLED
        assert len(backend.simulator.calls) == 1


async def test_several_may_cancel_the_same_running_task_at_once(autojump_clock):
    async with memory_queue() as queue:
        accepted = await queue.raw.submit(generate(simulate={"fault": "hang"}))
        await until(queue, accepted.task_id, Status.RUNNING)
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(queue.cancel, accepted.task_id)
        assert (await queue.raw.get(accepted.task_id)).status is Status.CANCELLED


async def test_a_cancel_that_comes_while_a_retry_waits_ends_it(autojump_clock):
    async with memory_queue() as queue:
        accepted = await queue.raw.submit(generate(simulate={"status": 500}))
        await until_retrying(queue, accepted.task_id)
        assert queue.status().retrying_tasks == 1
        await queue.cancel(accepted.task_id)
        await trio.sleep(1000)
        task = await queue.raw.get(accepted.task_id)
        assert (task.status, len(task.attempts)) == (Status.CANCELLED, 1)
        assert queue.status().delayed_tasks == 0


async def test_a_backend_that_is_down_for_a_minute_burns_no_retry(autojump_clock):
    backend = SimulatedBackend()
    backend.down = "connection refused"
    async with memory_queue(backend=backend) as queue:
        ids = await queue.raw.submit_many([generate(max_retries=0) for _ in range(5)])
        await trio.sleep(60)
        status = queue.status()
        assert not status.backends[0].up
        assert "refused" in status.backends[0].error
        assert (status.pending_tasks, status.running_tasks) == (5, 0)
        for task_id in ids:
            task = await queue.raw.get(task_id)
            assert (task.status, task.retry_count, task.attempts) == (Status.PENDING, 0, ())
        backend.down = None
        for task_id in ids:
            task = await ended(queue, task_id, within=10)
            assert (task.status, len(task.attempts)) == (Status.COMPLETED, 1)
        assert queue.status().backends[0].up


async def test_a_backends_bug_fails_the_attempt_and_not_the_queue(autojump_clock):
    class Buggy(NoopBackend):
        async def run(self, request: Request, emit: Emit) -> Completed:
            raise ZeroDivisionError("oops")

    async with memory_queue(backend=Buggy()) as queue:
        accepted = await queue.raw.submit(generate(max_retries=1))
        task = await ended(queue, accepted.task_id)
        assert (task.status, task.error) == (Status.FAILED, "ZeroDivisionError: oops")
        await wait_all_tasks_blocked()  # the end is told before the slot is given back
        assert queue.status().workers_active == 0


async def test_a_delayed_task_waits_for_its_time(autojump_clock):
    async with memory_queue() as queue:
        at = mock_wall_clock().now() + timedelta(seconds=100)
        accepted = await queue.raw.submit(generate(run_at=at))
        await trio.sleep(99)
        assert (await queue.raw.get(accepted.task_id)).status is Status.PENDING
        assert queue.status().delayed_tasks == 1
        task = await ended(queue, accepted.task_id, within=2)
        assert task.started_at >= at


async def test_a_failed_task_can_be_queued_again_with_its_attempts_kept(autojump_clock):
    backend = SimulatedBackend()
    async with memory_queue(backend=backend) as queue:
        accepted = await queue.raw.submit(generate(model="gone", simulate={"status": 404}))
        assert (await ended(queue, accepted.task_id)).status is Status.FAILED
        await queue.retry(accepted.task_id)
        task = await ended(queue, accepted.task_id)
        assert (task.status, len(task.attempts)) == (Status.FAILED, 2)


async def test_what_cannot_be_retried_or_deleted_says_why(autojump_clock):
    async with memory_queue() as queue:
        accepted = await queue.raw.submit(generate(simulate={"delay": 5}))
        with pytest.raises(Conflict):
            await queue.delete(accepted.task_id)
        await ended(queue, accepted.task_id)
        with pytest.raises(Conflict, match="completed"):
            await queue.retry(accepted.task_id)
        await queue.delete(accepted.task_id)
        with pytest.raises(NotFound):
            await queue.raw.get(accepted.task_id)
        with pytest.raises(NotFound):
            await queue.cancel("not-an-id")


async def test_retention_keeps_the_latest_ended_tasks_whatever_their_state(autojump_clock):
    async with memory_queue(queue={"max_completed_tasks": 10}) as queue:
        ids = []
        for n in range(30):
            script = {"status": 400} if n % 3 == 0 else {"delay": 1}
            accepted = await queue.raw.submit(generate(simulate=script))
            await ended(queue, accepted.task_id)
            ids.append(accepted.task_id)
        await queue.pause()
        waiting = await queue.raw.submit(generate())
        await trio.sleep(3700)
        for task_id in ids[:20]:
            with pytest.raises(NotFound):
                await queue.raw.get(task_id)
        for task_id in ids[20:]:
            assert (await queue.raw.get(task_id)).status.ended
        assert (await queue.raw.get(waiting.task_id)).status is Status.PENDING
        assert queue.status().total_tasks == 11


async def test_a_full_queue_refuses_and_says_when_to_come_back(autojump_clock):
    async with memory_queue(queue={"max_pending": 3}) as queue:
        await queue.pause()
        await queue.raw.submit_many([generate()] * 2)
        with pytest.raises(QueueFull):
            await queue.raw.submit_many([generate()] * 2)
        await queue.raw.submit(generate())
        with pytest.raises(QueueFull, match="max_pending") as full:
            await queue.raw.submit(generate())
        assert full.value.retry_after >= 1


async def test_one_bad_task_in_many_stores_nothing_and_is_named(autojump_clock):
    async with memory_queue() as queue:
        bad = Submission(type="chat", model="m", payload=msgspec.Raw(b"{}"))
        with pytest.raises(InvalidBatch) as invalid:
            await queue.raw.submit_many([generate(), bad, generate(priority=101)])
        assert set(invalid.value.problems) == {1, 2}
        assert queue.status().total_tasks == 0
        with pytest.raises(InvalidTask):
            await queue.raw.submit_many([generate()] * 10_001)


async def test_an_idempotency_key_gives_one_task_however_often_it_is_sent(autojump_clock):
    engine = MemoryEngine()
    async with memory_queue(engine) as queue:
        answers = []

        async def submit() -> None:
            answers.append(await queue.raw.submit(generate(), idempotency_key="once"))

        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(submit)
        assert len({answer.task_id for answer in answers}) == 1
        assert sorted(answer.created for answer in answers) == [False] * 9 + [True]
        with pytest.raises(Conflict, match="belongs to a different task"):
            await queue.raw.submit(generate("something else"), idempotency_key="once")
        with pytest.raises(InvalidTask):
            await queue.raw.submit(generate(), idempotency_key="ä")
    async with memory_queue(engine) as queue:
        again = await queue.raw.submit(generate(), idempotency_key="once")
        assert (again.task_id, again.created) == (answers[0].task_id, False)


async def test_a_batch_that_is_sent_again_makes_no_task_twice(autojump_clock):
    async with memory_queue() as queue:
        tasks = [generate(str(n), idempotency_key=f"k{n}") for n in range(3)]
        first = await queue.raw.submit_many([*tasks[:2], generate("keyless"), tasks[0]])
        assert first[3] == first[0]
        again = await queue.raw.submit_many(tasks)
        assert again[:2] == first[:2]
        assert queue.status().total_tasks == 4
        other = generate("other", idempotency_key="k1")
        with pytest.raises(InvalidBatch) as invalid:
            await queue.raw.submit_many([generate(), other, *tasks])
        assert set(invalid.value.problems) == {1}
        twice = [generate(text, idempotency_key="new") for text in ("one", "two")]
        with pytest.raises(InvalidBatch):
            await queue.raw.submit_many(twice)
        assert queue.status().total_tasks == 4
        assert not queue._core.admission._claims._under_way


async def test_who_hangs_up_and_sends_again_gets_the_same_task(autojump_clock):
    """Wherever the first call was when its caller left."""
    async with memory_queue() as queue:
        await queue.pause()
        for key in range(50):
            for turns in range(6):
                with trio.CancelScope() as scope:
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(_submit_with, queue, str(key))
                        for _ in range(turns):
                            await trio.lowlevel.checkpoint()
                        scope.cancel()
            await queue.raw.submit(generate(), idempotency_key=str(key))
        assert queue.status().pending_tasks == 50


async def _submit_with(queue, key: str) -> None:
    await queue.raw.submit(generate(), idempotency_key=key)


async def test_two_thousand_tasks_that_lose_their_backend_at_once_all_wait_for_their_retry(
    autojump_clock,
):
    many = {"max_workers": 2000, "max_pending": 2100}
    async with memory_queue(queue=many, health={"hold_after": 10_000}) as queue:
        await queue.raw.submit_many([generate(simulate={"status": 500}, max_retries=1)] * 2000)
        await trio.sleep(60)
        assert queue.status().failed_tasks == 2000


async def test_a_clock_that_was_wrong_for_a_while_changes_no_backoff(autojump_clock):
    wrong = 0.0
    clock = Clock(lambda: EPOCH + trio.current_time() + wrong)
    async with open_queue(
        to_config(settings()),
        backends=[SimulatedBackend()],
        ledger=KeyValueLedger(MemoryEngine()),
        clock=clock,
    ) as queue:
        wrong = 3600.0
        at = clock.now() + timedelta(seconds=7200)
        delayed = await queue.submit(generate(run_at=at))
        wrong = 0.0
        began = trio.current_time()
        failing = await queue.submit(generate(simulate={"status": 500}, max_retries=2))
        await ended(queue, failing)
        assert trio.current_time() - began == pytest.approx(1 + 2, abs=0.5)
        await trio.sleep(7200 - 60)
        assert (await queue.get(delayed)).status is Status.PENDING
        await ended(queue, delayed, within=3600 + 120)


async def test_who_waits_when_a_queue_ends_is_told_so(autojump_clock):
    told: list[str] = []

    async def cancel_later(queue, task_id) -> None:
        await trio.sleep(10)
        for verb in (queue.get, queue.cancel, queue.submit):
            with pytest.raises(Unavailable) as unavailable:
                await verb(generate() if verb == queue.submit else task_id)
            told.append(str(unavailable.value))

    async with trio.open_nursery() as nursery:
        async with memory_queue() as queue:
            task_id = await queue.submit(generate())
        nursery.start_soon(cancel_later, queue, task_id)
    assert len(told) == 3


async def test_events_tell_a_tasks_life_in_order(autojump_clock):
    async with memory_queue() as queue:
        with queue.subscribe() as events:
            accepted = await queue.raw.submit(generate(simulate={"status": 500}, max_retries=1))
            await ended(queue, accepted.task_id)
            batch = [event async for batch in _first(events, 6) for event in batch]
    assert [event.type for event in batch] == [
        EventType.TASK_SUBMITTED, EventType.TASK_STARTED, EventType.TASK_RETRYING,
        EventType.TASK_STARTED, EventType.TASK_FAILED,
    ]  # fmt: skip
    assert [event.seq for event in batch] == [1, 2, 3, 4, 5]
    assert batch[2].data["retry_count"] == 1


async def _first(events, count):
    seen = 0
    while seen < count - 1:
        batch = await events.__anext__()
        seen += len(batch)
        yield batch


async def test_a_draining_queue_takes_no_tasks(autojump_clock):
    async with memory_queue() as queue:
        await queue.drain()
        with pytest.raises(Unavailable, match="shutting down"):
            await queue.raw.submit(generate())

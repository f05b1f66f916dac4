"""What a wall clock that is wrong, or is set while oq runs, does: no more than it must."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from oq.backends.base import Request
from oq.backends.simulated import Script, SimulatedBackend, Simulator
from oq.dialects.base import Emit
from oq.http.metrics import Metrics
from oq.queue import Queue, open_queue
from oq.rules.history import History
from oq.store import KeyValueLedger, MemoryEngine
from oq.words.clock import Clock
from oq.words.config import to_config
from oq.words.outcome import Completed
from oq.words.task import Status
from tests.support.builders import at
from tests.support.queues import EPOCH, ended, generate, settings, until

HOUR, DAY = 3600.0, 86400.0


class Wrong:
    """A wall clock that is `by` so many seconds ahead."""

    def __init__(self) -> None:
        self.by = 0.0
        self.clock = Clock(lambda: EPOCH + trio.current_time() + self.by)


class OutOfOrder(SimulatedBackend):
    """All that it is asked fails, for some minutes."""

    UNTIL = 400.0

    def __init__(self) -> None:
        super().__init__(simulator=Simulator(parallel=4))

    async def run(self, request: Request, emit: Emit) -> Completed:
        if trio.current_time() < self.UNTIL:
            self.simulator.push(Script(status=500))
        return await super().run(request, emit)


@asynccontextmanager
async def opened(
    engine: MemoryEngine, wrong: Wrong, backend: SimulatedBackend | None = None
) -> AsyncIterator[Queue]:
    patient = {"max_delay": HOUR, "jitter": False}  # for what a backend asks to wait
    async with open_queue(
        to_config(settings(retry_config=patient)), backends=[backend or SimulatedBackend()],
        ledger=KeyValueLedger(engine), clock=wrong.clock,
    ) as queue:  # fmt: skip
        yield queue


async def put_to_wait(engine: MemoryEngine, wrong: Wrong, **script: object) -> str:
    """A task that waits for its retry when its queue closes."""
    backend = SimulatedBackend(simulator=Simulator(Script(status=500, **script)))
    async with opened(engine, wrong, backend) as queue:
        task_id = (await queue.raw.submit(generate())).task_id
        with queue.subscribe({"task_retrying"}, task_id=task_id) as events:
            await anext(events)
    return task_id


@pytest.mark.parametrize("back", [HOUR, DAY, 400 * DAY])
async def test_a_retry_does_not_stick_when_oq_starts_with_its_clock_behind(back, autojump_clock):
    engine, wrong = MemoryEngine(), Wrong()
    task_id = await put_to_wait(engine, wrong)
    wrong.by = -back
    async with opened(engine, wrong) as queue:
        began = trio.current_time()
        assert (await ended(queue, task_id, within=60)).status is Status.COMPLETED
        assert trio.current_time() - began <= 1.5, "its whole delay was a second"


async def test_a_long_wait_that_a_backend_asked_for_is_no_shorter_after_a_restart(autojump_clock):
    engine, wrong = MemoryEngine(), Wrong()
    task_id = await put_to_wait(engine, wrong, retry_after="600")
    async with opened(engine, wrong) as queue:
        await trio.sleep(590)
        assert (await queue.raw.get(task_id)).status is Status.PENDING
        await ended(queue, task_id, within=60)


async def test_a_clock_that_is_set_right_after_the_start_ends_the_wait(autojump_clock):
    engine, wrong = MemoryEngine(), Wrong()
    task_id = await put_to_wait(engine, wrong, retry_after="3000")
    await trio.sleep(2900)
    wrong.by = -DAY
    async with opened(engine, wrong) as queue:
        await trio.sleep(200)
        wrong.by = 0.0
        await ended(queue, task_id, within=60)


async def test_a_retry_whose_clock_was_ahead_when_it_failed_does_not_stick_either(autojump_clock):
    engine, wrong = MemoryEngine(), Wrong()
    wrong.by = DAY
    task_id = await put_to_wait(engine, wrong)
    wrong.by = 0.0
    async with opened(engine, wrong) as queue:
        await ended(queue, task_id, within=5)


async def test_a_retry_from_before_the_start_may_take_another_place(autojump_clock):
    engine, wrong = MemoryEngine(), Wrong()
    task_id = await put_to_wait(engine, wrong, retry_after="600")
    async with opened(engine, wrong) as queue:
        await queue.set_priority(task_id, 9)
        assert (await queue.raw.get(task_id)).priority == 9
        await ended(queue, task_id, within=601)


@pytest.mark.parametrize("restart", [False, True])
async def test_a_task_that_was_put_off_does_not_stick_when_the_clock_is_set_back(
    restart, autojump_clock
):
    """It has spent no retry, but it was oq that wanted it to wait."""
    engine, wrong, backend = MemoryEngine(), Wrong(), OutOfOrder()
    async with opened(engine, wrong, backend) as queue:
        await queue.raw.submit_many([generate() for _ in range(8)])
        await trio.sleep(100)
        ids = await queue.raw.submit_many([generate() for _ in range(8)])
        await trio.sleep_until(OutOfOrder.UNTIL - 10)
        tasks = [await queue.raw.get(task_id) for task_id in ids]
        put_off = [task.id for task in tasks if task.run_at is not None and not task.retry_count]
        assert put_off, "a canary failed"
        wrong.by = -DAY
        if not restart:
            for task_id in put_off:
                await ended(queue, task_id, within=10 * 60)
    if restart:
        async with opened(engine, wrong, backend) as queue:
            for task_id in put_off:
                await ended(queue, task_id, within=10 * 60)


async def test_a_retry_is_due_as_soon_as_its_delay_has_passed(mock_clock):
    """Ten tenths are a bit less than one. A retry that waited for that bit would never run here."""
    wrong = Wrong()
    backend = SimulatedBackend(simulator=Simulator(Script(status=500)))
    async with opened(MemoryEngine(), wrong, backend) as queue:
        task_id = await queue.submit(generate(max_retries=1))
        await wait_all_tasks_blocked()
        for _ in range(10):
            assert (await queue.raw.get(task_id)).status is Status.PENDING
            mock_clock.jump(0.1)
            await wait_all_tasks_blocked()
        assert (await queue.raw.get(task_id)).status is Status.FAILED


@pytest.mark.parametrize("jump", [HOUR, -HOUR, 30 * DAY, -30 * DAY])
async def test_a_jump_changes_no_timeout_and_no_order(jump, autojump_clock):
    engine, wrong = MemoryEngine(), Wrong()
    async with opened(engine, wrong) as queue:
        slow = await queue.submit(generate(simulate={"delay": 50}, timeout="60s"))
        hangs = await queue.submit(
            generate(simulate={"fault": "hang"}, timeout="60s", max_retries=0)
        )
        await until(queue, hangs, Status.RUNNING)
        before = await queue.submit(generate())
        began = trio.current_time()
        wrong.by = jump
        after = await queue.submit(generate())
        assert before < after, "ids grow"
        assert (await ended(queue, slow)).status is Status.COMPLETED
        assert (await ended(queue, hangs)).status is Status.FAILED
        assert trio.current_time() - began == pytest.approx(60, abs=1)


async def test_a_time_that_a_user_names_is_the_wall_clocks(autojump_clock):
    engine, wrong = MemoryEngine(), Wrong()
    async with opened(engine, wrong) as queue:
        run_at = wrong.clock.now() + timedelta(hours=5)
        delayed = await queue.submit(generate(run_at=run_at))
        wrong.by = -HOUR
        await trio.sleep(5.5 * HOUR)
        assert (await queue.raw.get(delayed)).status is Status.PENDING
        wrong.by = 2 * HOUR
        await ended(queue, delayed, within=60)


@pytest.mark.parametrize("window", ["15m", "24h"])
@pytest.mark.parametrize("jump", [60, HOUR, DAY, 400 * DAY])
def test_charts_go_on_after_a_jump_forward_and_back(jump, window):
    history = History()
    history.count(at(0), "m", "completed", 5)
    history.count(at(jump), "m", "completed")
    for second in range(1, 60):
        history.count(at(second), "m", "completed")
    shown = history.points(window, at(60))
    assert sum(point.completed for point in shown) >= 5 + 59
    assert shown[-2 if window == "15m" else -1].completed >= 10


def test_what_was_counted_in_a_wrong_future_does_not_come_up_when_that_comes():
    history = History()
    history.count(at(HOUR), "m", "failed", 1000)
    history.count(at(0), "m", "completed")
    history.count(at(HOUR), "m", "completed")
    assert sum(point.failed for point in history.points("24h", at(HOUR))) == 0


async def test_a_delay_before_a_restart_is_no_waiting(autojump_clock):
    engine, wrong = MemoryEngine(), Wrong()
    async with opened(engine, wrong) as queue:
        run_at = wrong.clock.now() + timedelta(hours=3)
        task_id = await queue.submit(generate(run_at=run_at))
    async with opened(engine, wrong) as queue:
        metrics = Metrics(queue.status)
        queue.observe(metrics.committed)
        await ended(queue, task_id)
        waited = metrics.registry.get_sample_value(
            "oq_task_wait_seconds_sum", {"type": "generate", "model": "m"}
        )
        assert waited is not None
        assert waited <= 60, "the timer looks at the clock each half minute"

"""A backend that is out of order for a while fails no task that can wait.

The times are those of the mock clock.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from oq.backends.base import Request
from oq.backends.simulated import Script, SimulatedBackend, Simulator
from oq.dialects.base import Emit
from oq.queue import Queue, open_queue
from oq.rules.outages import PUT_OFF_MOST
from oq.store import KeyValueLedger, MemoryEngine
from oq.words.config import to_config
from oq.words.outcome import Completed
from oq.words.task import RawTask, Status
from tests.support.queues import ended, generate, mock_wall_clock

MINUTE = 60.0
OUTAGE = 5 * MINUTE
MANY = 500


class Machine(SimulatedBackend):
    """It fails at the requests that `fails` says, and notes when it was asked."""

    def __init__(self, fails: Callable[[Request], Script | None], *, parallel: int = 4) -> None:
        super().__init__(simulator=Simulator(Script(tokens=3, rate=10), parallel=parallel))
        self.fails = fails
        self.asked_at: list[float] = []
        self.tried_at: list[float] = []  # by the canaries
        self.queue: Queue | None = None

    async def run(self, request: Request, emit: Emit) -> Completed:
        self.asked_at.append(trio.current_time())
        if self.queue is not None and self.queue.status().backends[0].held:
            self.tried_at.append(trio.current_time())
        script = self.fails(request)
        if script is not None:
            self.simulator.push(script)
        return await super().run(request, emit)

    def most_in_a_minute(self) -> int:
        """Canaries in the minute, of all that begin with one, that has the most."""
        tried = self.tried_at
        return max(sum(begin <= at < begin + MINUTE for at in tried) for begin in tried)


def until(end: float, script: Script) -> Callable[[Request], Script | None]:
    """Everything fails in this way until then."""
    return lambda _: script if trio.current_time() < end else None


@asynccontextmanager
async def before(machine: Machine, **settings: Any) -> AsyncIterator[Queue]:
    described = {"name": machine.name, "kind": "simulated", **settings}
    retry = {"initial_delay": "1s", "max_delay": "30s", "jitter": False}
    config = to_config({"backends": [described], "retry_config": retry})
    async with open_queue(
        config,
        backends=[machine],
        ledger=KeyValueLedger(MemoryEngine()),
        clock=mock_wall_clock(),
    ) as queue:
        machine.queue = queue
        yield queue


async def all_of(queue: Queue, ids: list[str]) -> list[RawTask]:
    with trio.fail_after(4 * 3600):
        return [await ended(queue, task_id) for task_id in ids]


def failed(tasks: list[RawTask]) -> list[str | None]:
    return [task.error for task in tasks if task.status is not Status.COMPLETED]


@pytest.mark.parametrize("settings", [{}, {"max_concurrency": 4}], ids=["auto", "set"])
@pytest.mark.parametrize(
    "script",
    [
        Script(status=503, error="Service Unavailable"),
        Script(status=503, error="Service Unavailable", retry_after="7"),
        Script(status=429, error="slow down"),
        Script(status=500, error="internal error"),
        Script(status=502, error="bad gateway"),
        Script(fault="reset"),
        Script(fault="cut", at=2, tokens=5, rate=10),
    ],
    ids=["503", "503 with Retry-After", "429", "500", "502", "reset", "cut behind its first byte"],
)
async def test_an_outage_of_minutes_fails_no_task(script, settings, autojump_clock):
    machine = Machine(until(OUTAGE, script))
    async with before(machine, **settings) as queue:
        ids = await queue.raw.submit_many([generate() for _ in range(MANY)])
        tasks = await all_of(queue, ids)
        assert failed(tasks) == []
        assert max(task.retry_count for task in tasks) <= 3
        assert len(machine.tried_at) >= 5 * 3 - 2
        assert machine.most_in_a_minute() <= 3
        assert queue.status().backends[0].held is None
        waits = max(task.completed_at for task in tasks) - tasks[0].created_at
        assert waits.total_seconds() <= OUTAGE + PUT_OFF_MOST + 30, "one that was tried in vain"


@pytest.mark.parametrize("seconds", [None, "30"])
@pytest.mark.parametrize("number", [1, 5])
async def test_hours_in_which_it_is_busy_fail_no_task(seconds, number, autojump_clock):
    busy = Script(status=503, error="Service Unavailable", retry_after=seconds)
    machine = Machine(until(3 * 3600, busy))
    async with before(machine) as queue:
        ids = await queue.raw.submit_many([generate() for _ in range(number)])
        tasks = await all_of(queue, ids)
        assert failed(tasks) == []
        assert {task.retry_count for task in tasks} == {0}
        waits = max(task.completed_at for task in tasks) - tasks[0].created_at
        assert waits.total_seconds() <= 3 * 3600 + 2 * MINUTE


async def test_one_that_says_it_is_busy_to_a_single_task_fails_that_alone(autojump_clock):
    busy = Script(status=503, error="insufficient memory")
    machine = Machine(lambda one: busy if b"too much" in one.payload else None)
    async with before(machine) as queue:
        [much] = await queue.raw.submit_many([generate("too much")])
        for _ in range(60):
            good = await all_of(queue, await queue.raw.submit_many([generate() for _ in range(3)]))
            assert failed(good) == []
            await trio.sleep(MINUTE)
        task = await ended(queue, much)
        assert task.status is Status.FAILED
        assert "insufficient memory" in (task.error or "")


async def test_different_troubles_in_turns_are_tried_as_often_as_one(autojump_clock):
    kinds = [Script(status=status, error="no") for status in (500, 503, 429, 502)]
    machine = Machine(lambda _: None)
    machine.fails = lambda _: (
        kinds[len(machine.asked_at) % 4] if trio.current_time() < OUTAGE else None
    )
    async with before(machine) as queue:
        ids = await queue.raw.submit_many([generate(model=f"m{n % 3}") for n in range(60)])
        assert failed(await all_of(queue, ids)) == []
        assert machine.most_in_a_minute() <= 3


async def test_a_model_that_is_held_goes_on_after_its_canary_found_the_backend_busy(
    autojump_clock,
):
    """The end of that canary is known to both: the hold of the model, and that of the backend."""
    broken, busy = Script(status=500, error="no"), Script(status=503, error="busy")

    def fails(request: Request) -> Script | None:
        if request.model != "big" or trio.current_time() > MINUTE:
            return None
        return busy if machine.tried_at else broken

    machine = Machine(fails)
    async with before(machine, max_concurrency=1) as queue:
        big = await queue.raw.submit_many([generate(model="big") for _ in range(6)])
        await trio.sleep(10)
        assert machine.tried_at
        await all_of(queue, await queue.raw.submit_many([generate(priority="high")]))
        assert failed(await all_of(queue, big)) == []
        assert trio.current_time() < 6 * MINUTE
        assert queue.status().backends[0].held is None


async def test_a_backend_that_accepts_and_never_answers_fails_no_task(autojump_clock):
    hang = Script(delay=1e6)
    machine = Machine(until(OUTAGE * 3, hang))
    async with before(machine, max_concurrency=2) as queue:
        tasks = [generate(timeout=30) for _ in range(MANY)]
        done = await all_of(queue, await queue.raw.submit_many(tasks))
        assert failed(done) == []
        assert machine.most_in_a_minute() <= 3


@pytest.mark.parametrize("slots", [1, 2])
async def test_nor_does_it_when_the_tasks_that_come_first_are_of_several_models(
    slots, autojump_clock
):
    """Each of these has been tried often before there were failures of many tasks."""
    machine = Machine(until(OUTAGE, Script(delay=1e6)))
    async with before(machine, max_concurrency=slots) as queue:
        tasks = [generate(model=f"m{n % (2 * slots)}", timeout=21) for n in range(60)]
        done = await all_of(queue, await queue.raw.submit_many(tasks))
        assert failed(done) == []


async def test_a_poison_task_among_them_still_fails_alone(autojump_clock):
    broken = Script(status=500, error="internal error")

    def fails(request: Request) -> Script | None:
        return broken if b"poison" in request.payload or trio.current_time() < OUTAGE else None

    machine = Machine(fails)
    async with before(machine) as queue:
        few = 6
        poison = await queue.raw.submit_many([generate("poison") for _ in range(few)])
        good = await queue.raw.submit_many([generate() for _ in range(50)])
        assert failed(await all_of(queue, good)) == []
        bad = await all_of(queue, poison)
        assert {task.status for task in bad} == {Status.FAILED}
        assert {task.retry_count for task in bad} == {3}


async def test_one_poison_task_holds_nobody_up(autojump_clock):
    machine = Machine(lambda one: Script(status=500) if b"poison" in one.payload else None)
    async with before(machine) as queue:
        [poison] = await queue.raw.submit_many([generate("poison", priority="critical")])
        good = await all_of(queue, await queue.raw.submit_many([generate() for _ in range(40)]))
        assert failed(good) == []
        took = max(task.completed_at for task in good) - good[0].created_at
        assert took.total_seconds() < 40 * 0.3 + 2
        assert (await ended(queue, poison)).status is Status.FAILED


async def test_a_model_that_fails_does_not_hold_the_others(autojump_clock):
    machine = Machine(
        lambda one: Script(status=500, error="no memory") if one.model == "big" else None
    )
    async with before(machine) as queue:
        big = await queue.raw.submit_many([generate(model="big") for _ in range(30)])
        small = await queue.raw.submit_many([generate(model="m") for _ in range(30)])
        assert failed(await all_of(queue, small)) == []
        assert trio.current_time() < MINUTE
        said = (await queue.raw.get(big[-1])).waits_for or ""
        assert "one at a time is tried until one is answered" in said
        assert "no memory" in said
        [backend] = queue.status().backends
        assert "(of big" in (backend.held or "")


async def test_the_first_byte_of_a_canary_lets_the_others_go(autojump_clock):
    machine = Machine(until(10.0, Script(status=500)))
    async with before(machine, max_concurrency=4) as queue:
        ids = await queue.raw.submit_many([generate() for _ in range(20)])
        await trio.sleep(10.0)
        machine.simulator.default = Script(tokens=600, rate=10)
        began = trio.current_time()
        while queue.status().running_tasks < 4:
            assert trio.current_time() < began + 25, "a canary of a minute holds the others"
            await trio.sleep(1)
        for task_id in ids:
            await queue.raw.cancel(task_id)


async def test_a_caller_who_waits_gets_the_error_after_the_retries(autojump_clock):
    machine = Machine(lambda _: Script(status=500, error="broken"))
    async with before(machine) as queue:
        waiting = generate()
        [task] = await all_of(queue, await queue.raw.submit_many([waiting]))
        assert task.status is Status.FAILED
        assert task.retry_count == 3
        assert trio.current_time() < 10

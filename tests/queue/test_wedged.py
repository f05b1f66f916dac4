"""A backend that takes the tasks of one model and produces nothing, while it serves another.

The times are those of the mock clock.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import trio

from oq.backends.base import Request
from oq.backends.simulated import Script, SimulatedBackend, Simulator
from oq.dialects.base import Emit
from oq.queue import Queue, open_queue
from oq.store import KeyValueLedger, MemoryEngine
from oq.words.config import to_config
from oq.words.outcome import Completed
from oq.words.task import Status
from tests.support.queues import ended, generate, mock_wall_clock

MINUTE = 60.0
AFTER = 10 * MINUTE
TIMEOUT = 40 * MINUTE
SILENT = Script(delay=1e6)
STALLS = Script(tokens=5, rate=10, fault="hang", at=2)


class Machine(SimulatedBackend):
    """What it does with a task of the model `beta` says `script`, if it is not None."""

    def __init__(self) -> None:
        default = Script(tokens=3, rate=10)
        super().__init__(simulator=Simulator(default, parallel=2, max_models=2))
        self.script: Callable[[], Script | None] = lambda: None
        self.asked: dict[str, list[float]] = {}

    async def run(self, request: Request, emit: Emit) -> Completed:
        self.asked.setdefault(request.model, []).append(trio.current_time())
        if request.model == "beta" and (script := self.script()) is not None:
            self.simulator.push(script)
        return await super().run(request, emit)

    def asked_since(self, time: float, model: str = "beta") -> int:
        return sum(at > time for at in self.asked.get(model, ()))


@asynccontextmanager
async def before(machine: Machine) -> AsyncIterator[Queue]:
    config = to_config({"backends": [{"name": machine.name, "kind": "simulated"}]})
    async with open_queue(
        config, backends=[machine], ledger=KeyValueLedger(MemoryEngine()), clock=mock_wall_clock()
    ) as queue:
        yield queue


async def run(queue: Queue, model: str, number: int = 1) -> list[str]:
    """Submit so many tasks, and wait until they have ended. Their statuses."""
    tasks = [generate(model=model, timeout=TIMEOUT) for _ in range(number)]
    ids = await queue.raw.submit_many(tasks)
    return [(await ended(queue, task_id)).status for task_id in ids]


def held(queue: Queue) -> str:
    [backend] = queue.status().backends
    return backend.held or ""


@pytest.mark.parametrize("script", [SILENT, STALLS], ids=["silent", "stalls"])
async def test_its_tasks_are_held_and_those_of_other_models_go_on(script, autojump_clock):
    machine = Machine()
    async with before(machine) as queue:
        assert set(await run(queue, "beta", 12)) == {Status.COMPLETED}
        sick_until = trio.current_time() + 3 * TIMEOUT
        machine.script = lambda: script if trio.current_time() < sick_until else None
        waiting = [generate(model="beta", timeout=TIMEOUT) for _ in range(20)]
        ids = await queue.raw.submit_many(waiting)
        began = trio.current_time()
        await trio.sleep(AFTER - MINUTE)
        assert held(queue) == ""
        await trio.sleep(AFTER / 4 + 2 * MINUTE)
        assert "its tasks produce nothing (of beta" in held(queue)
        assert "health.wedged_after" in held(queue)
        said = (await queue.raw.get(ids[-1])).waits_for or ""
        assert "its tasks produce nothing" in said

        assert set(await run(queue, "alpha", 20)) == {Status.COMPLETED}
        known = trio.current_time()
        await trio.sleep(began + TIMEOUT - 1 - known)
        assert machine.asked_since(known) == 0, "those that run hold all of its slots"
        await trio.sleep(TIMEOUT)
        assert machine.asked_since(known) <= 3, "one at a time"
        assert set(await run(queue, "alpha", 20)) == {Status.COMPLETED}

        tasks = [await ended(queue, task_id) for task_id in ids]
        assert {task.status for task in tasks} == {Status.COMPLETED}
        if script is SILENT:  # the other one is answered for a moment again and again
            assert {task.retry_count for task in tasks} == {0}
        assert held(queue) == ""


async def test_when_it_goes_on_its_tasks_do_too(autojump_clock):
    machine = Machine()
    async with before(machine) as queue:
        await run(queue, "beta", 12)
        machine.script = lambda: Script(delay=AFTER + 5 * MINUTE, tokens=3, rate=10)
        ids = await queue.raw.submit_many(
            [generate(model="beta", timeout=TIMEOUT) for _ in range(2)]
        )
        await trio.sleep(AFTER + AFTER / 4 + MINUTE)
        assert "its tasks produce nothing" in held(queue)
        machine.script = lambda: None
        assert {(await ended(queue, task_id)).status for task_id in ids} == {Status.COMPLETED}
        assert held(queue) == ""


async def test_a_model_that_never_answered_is_not_taken_for_wedged(autojump_clock):
    machine = Machine()
    async with before(machine) as queue:
        machine.script = lambda: Script(delay=3 * AFTER, tokens=3, rate=10)
        await queue.raw.submit_many([generate(model="beta", timeout=TIMEOUT)])
        await trio.sleep(2 * AFTER)
        assert held(queue) == ""


async def test_a_model_with_two_names_is_one(autojump_clock):
    machine = Machine()
    async with before(machine) as queue:
        await run(queue, "beta")
        machine.script = lambda: SILENT
        silent = await queue.raw.submit(generate(model="beta", timeout=TIMEOUT))
        for _ in range(15):
            await trio.sleep(MINUTE)
            assert held(queue) == ""
            assert await run(queue, "beta:latest") == [Status.COMPLETED]
        await queue.raw.cancel(silent.task_id)

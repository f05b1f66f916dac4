"""Nobody expects a ledger to answer at once: here each answer takes seconds, as if it were a server
far away. (The clock is the mock one of trio, so the tests do not take them.)
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from oq.backends.simulated import SimulatedBackend
from oq.queue import Queue, open_queue
from oq.rules.filters import Sort, TaskFilter
from oq.store import KeyValueLedger, MemoryEngine
from oq.words.config import to_config
from oq.words.errors import Conflict, NotFound
from oq.words.messages import Verb
from oq.words.task import Status
from tests.support.queues import ended, generate, mock_wall_clock, settings, until

BEFORE, AFTER = 1.0, 10.0
"""Seconds from a question to the look at what is stored, and from there to the answer."""


class Slow:
    """A ledger, or its durable side, that takes its time for everything."""

    def __init__(self, quick: Any) -> None:
        self._quick = quick

    @property
    def durable(self) -> Slow:
        return Slow(self._quick.durable)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._quick, name)
        if not inspect.iscoroutinefunction(found):
            return found

        async def later(*args: Any, **options: Any) -> Any:
            await trio.sleep(BEFORE)
            answer = await found(*args, **options)
            await trio.sleep(1.0 if name == "commit" else AFTER)
            return answer

        return later


@asynccontextmanager
async def slow_queue(engine: MemoryEngine | None = None) -> AsyncIterator[Queue]:
    ledger: Any = Slow(KeyValueLedger(engine or MemoryEngine()))
    backends = [SimulatedBackend()]
    async with open_queue(
        to_config(settings()), backends=backends, ledger=ledger, clock=mock_wall_clock()
    ) as queue:
        yield queue


async def test_a_task_is_run_and_told(autojump_clock):
    async with slow_queue() as queue:
        task_id = await queue.submit(generate("hello"))
        assert (await ended(queue, task_id)).status is Status.COMPLETED
        with queue.raw.stream(task_id) as stream:
            chunks = [chunk async for chunk in stream]
        assert (chunks[-1].done, chunks[-1].status) == (True, Status.COMPLETED)
        with pytest.raises(NotFound):
            await queue.raw.get("01990000-0000-7000-8000-000000000000")


async def test_a_key_makes_one_task_though_its_first_task_lands_before_the_answer(autojump_clock):
    """Those who ask while the first is on its way hear from the ledger that the key is new."""
    async with slow_queue() as queue:
        await queue.pause()
        found: set[str] = set()

        async def submit(after: float) -> None:
            await trio.sleep(after)
            accepted = await queue.raw.submit(generate("hello"), idempotency_key="order 17")
            found.add(accepted.task_id)

        async with trio.open_nursery() as nursery:
            for after in (0, 0, 5, BEFORE + AFTER - 0.5, BEFORE + AFTER + 0.5, 60):
                nursery.start_soon(submit, after)
        assert len(found) == queue.status().total_tasks == 1


async def test_two_tasks_with_one_key_are_not_both_taken(autojump_clock):
    async with slow_queue() as queue:
        await queue.pause()
        refused: list[str] = []

        async def submit(prompt: str) -> None:
            try:
                await queue.raw.submit(generate(prompt), idempotency_key="order 17")
            except Conflict:
                refused.append(prompt)

        async with trio.open_nursery() as nursery:
            for prompt in ("one", "another"):
                nursery.start_soon(submit, prompt)
        assert len(refused) == queue.status().total_tasks == 1


async def test_wishes_about_one_and_about_many_are_carried_out(autojump_clock):
    hang = {"delay": 1e6}
    async with slow_queue() as queue:
        running = await queue.submit(generate(simulate=hang))
        await until(queue, running, Status.RUNNING)
        await queue.pause()
        ids = [await queue.submit(generate()) for _ in range(3)]
        await queue.set_priority(ids[0], 9)
        page = await queue.raw.list(TaskFilter(sort=Sort.QUEUE))
        assert [task.id for task in page.tasks] == ids
        outcome = await queue.raw.bulk(Verb.CANCEL, [running, *ids])
        assert (outcome.done, outcome.skipped) == (4, 0)
        assert (await queue.raw.count(TaskFilter(text="hello"))).count == 4
        await queue.delete(ids[0])
        with pytest.raises(NotFound):
            await queue.raw.get(ids[0])


async def test_what_a_process_leaves_behind_is_taken_up(autojump_clock):
    engine = MemoryEngine()
    async with slow_queue(engine) as queue:
        task_id = await queue.submit(generate(simulate={"delay": 1e6}))
        await until(queue, task_id, Status.RUNNING)
        waits = await queue.submit(generate())
        await queue.drain(0)
    async with slow_queue(engine) as queue:
        assert (await ended(queue, waits)).status is Status.COMPLETED
        assert len((await until(queue, task_id, Status.RUNNING)).attempts) == 2

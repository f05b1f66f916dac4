"""The order holds at the backend too: before a simulated one that does as Ollama's scheduler does.

The times are those of the mock clock. The scenarios are those that were tried on a real Ollama
(`make test-ollama`), with its numbers: a load takes a second, a task one and a half.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
import trio

from oq.backends.simulated import Script, SimulatedBackend, Simulator
from oq.dialects import ENDPOINTS
from oq.queue import Queue, open_queue
from oq.queue.gateway_calls import NewCall
from oq.rules.board import Board
from oq.rules.concurrency import RECALLED
from oq.store import KeyValueLedger, MemoryEngine
from oq.words.config import to_config
from oq.words.messages import Recall
from oq.words.task import RawTask, Status
from tests.support.queues import ended, generate, mock_wall_clock, until_retrying

SERVICE = 1.4
SHORT = Script(tokens=3, rate=10)
LOAD = 1.0
RESIDUAL = SERVICE + 0.3
LOW, HIGH, CRITICAL = 1, 10, 15


class Box:
    """A queue before one simulated machine, and the times of its tasks."""

    def __init__(self, queue: Queue, backend: SimulatedBackend) -> None:
        self.queue = queue
        self.backend = backend
        self.simulator = backend.simulator

    async def submit(self, model: str, number: int = 1, **fields: Any) -> list[str]:
        tasks = [generate(model=model, **fields) for _ in range(number)]
        return await self.queue.raw.submit_many(tasks)

    async def call(self, path: str, number: int, **fields: Any) -> list[str]:
        """Calls of other APIs, that go on without their callers."""
        body = msgspec.json.encode({"model": "m", **fields})
        new = NewCall(call=ENDPOINTS[path], body=body, model="m", priority=LOW, detached=True)
        return [(await self.queue.calls.accept(new, None)).task_id for _ in range(number)]

    async def all_of(self, ids: list[str]) -> list[RawTask]:
        return [await ended(self.queue, task_id) for task_id in ids]

    def slots(self) -> dict[str | None, int]:
        [backend] = self.queue.status().backends
        return {one.model: one.slots for one in backend.slots}

    async def flood(self, model: str, callers: int) -> None:
        """Callers that have another answered as soon as they have one."""

        async def call() -> None:
            while True:
                await self.all_of(await self.submit(model))

        async with trio.open_nursery() as nursery:
            for _ in range(callers):
                nursery.start_soon(call)


@asynccontextmanager
async def box(
    settings: dict[str, Any] | None = None,
    engine: MemoryEngine | None = None,
    **scheduler: Any,
) -> AsyncIterator[Box]:
    """A machine whose scheduler has these settings; `settings` are those of its backend in oq, or
    of other sections.
    """
    scheduler = {"parallel": 1, "load": LOAD, **scheduler}
    default = scheduler.pop("default", Script(tokens=15, rate=10))
    simulator = Simulator(default, **scheduler)
    settings = settings or {}
    described = {"name": "simulated", "kind": "simulated", **settings.pop("backend", {})}
    retry = {"initial_delay": "1s", "jitter": False}
    config = to_config({"backends": [described], "retry_config": retry, **settings})
    backend = SimulatedBackend(simulator=simulator)
    async with open_queue(
        config,
        backends=[backend],
        ledger=KeyValueLedger(engine or MemoryEngine()),
        clock=mock_wall_clock(),
    ) as queue:
        yield Box(queue, backend)


def waited(task: RawTask) -> float:
    """Seconds inside the backend, by the last attempt."""
    return task.attempts[-1].waited_inside or 0.0


def first_token(task: RawTask) -> float:
    """Seconds from the submission."""
    at = task.attempts[-1].first_token_at
    assert at is not None
    return (at - task.created_at).total_seconds()


def started(tasks: list[RawTask]) -> list[str]:
    """Their ids in the order in which they were handed over."""
    return [task.id for task in sorted(tasks, key=lambda task: task.attempts[-1].started_at)]


@pytest.mark.parametrize("after", [0.2, 1.7, 2.0, 3.2, 7.0])
async def test_a_critical_task_waits_for_one_residual_service_and_the_others_end_in_order(
    after, autojump_clock
):
    async with box() as here:
        low = await here.submit("m", 12, priority=LOW)
        await trio.sleep(after)
        [critical] = await here.all_of(await here.submit("m", priority=CRITICAL))
        lows = await here.all_of(low)
        assert first_token(critical) <= RESIDUAL + (LOAD if after < LOAD else 0.0)
        ends = sorted(lows, key=lambda task: task.completed_at)
        assert [task.id for task in ends] == low
        assert all(task.retry_count == 0 for task in lows)
        total = (ends[-1].completed_at - ends[0].created_at).total_seconds()
        assert total <= 1.03 * (13 * SERVICE + LOAD)


async def test_what_was_called_back_is_tried_again_though_nothing_happens_meanwhile(autojump_clock):
    async with box(parallel=2) as here:
        await here.all_of(await here.submit("m"))
        long, late = Script(tokens=1000, rate=10), Script(delay=30)
        here.simulator.push(long, late)
        low = await here.submit("m", 2, priority=LOW)
        await trio.sleep(1)
        [critical] = await here.all_of(await here.submit("m", priority=CRITICAL))
        assert first_token(critical) <= RECALLED + 0.3
        for task in await here.all_of(low):
            assert (task.retry_count, len(task.attempts)) == (0, 1), "a recall is no attempt"


async def test_one_that_answers_already_is_not_called_back(monkeypatch, autojump_clock):
    """The scheduler may not know yet that it does."""
    recalled: list[Recall] = []
    monkeypatch.setattr(Board, "recalls", lambda board, now: recalled)
    async with box() as here:
        ids = await here.submit("m")
        await trio.sleep(LOAD + 0.5)
        recalled += map(Recall, ids)
        await here.submit("m", priority=CRITICAL)
        [task] = await here.all_of(ids)
        assert task.status is Status.COMPLETED
        assert len(task.attempts) == 1, "it was sent once"
        assert here.simulator.calls[0].hung_up_at is None, "and went on"


@pytest.mark.parametrize("parallel", [1, 2, 4])
async def test_the_number_of_slots_is_found_within_20_tasks_and_then_nobody_waits_inside(
    parallel, autojump_clock
):
    async with box(parallel=parallel) as here:
        await here.all_of(await here.submit("m", 20))
        assert here.slots() == {"m": parallel}
        later = await here.all_of(await here.submit("m", 40))
        assert max(map(waited, later)) <= 0.1
        assert here.slots() == {"m": parallel}


CALLS = [
    pytest.param("/v1/chat/completions", {"messages": [], "stream": True}, id="streamed"),
    pytest.param("/v1/chat/completions", {"messages": []}, id="whole"),
    pytest.param("/v1/embeddings", {"input": "one two three"}, id="embeddings"),
]


@pytest.mark.parametrize(("path", "fields"), CALLS)
@pytest.mark.parametrize("parallel", [1, 2, 4])
async def test_the_number_is_found_by_calls_too_whose_answers_say_no_times(
    path, fields, parallel, autojump_clock
):
    async with box(parallel=parallel, default=Script(prompt=0.5, tokens=11, rate=10)) as here:
        await here.all_of(await here.call(path, 20, **fields))
        assert here.slots() == {"m": parallel}
        here.simulator.max_running = 0
        await here.all_of(await here.call(path, 40, **fields))
        assert here.slots() == {"m": parallel}
        assert here.simulator.max_running == parallel, "none waits inside"


@pytest.mark.parametrize("parallel", [1, 2])
async def test_the_number_is_found_with_tasks_of_a_tenth_of_a_second_too(parallel, autojump_clock):
    async with box(parallel=parallel, default=Script(tokens=9, rate=90)) as here:
        await here.all_of(await here.submit("m", 20))
        here.simulator.default = Script(tokens=15, rate=10)
        long = await here.all_of(await here.submit("m", 12))
        assert max(map(waited, long)) <= 0.1
        assert here.slots() == {"m": parallel}


async def test_what_was_found_is_kept_over_a_restart_and_found_again_with_other_settings(
    autojump_clock,
):
    engine = MemoryEngine()
    async with box(parallel=4, engine=engine) as here:
        await here.all_of(await here.submit("m", 40))
    async with box(parallel=4, engine=engine) as here:
        await here.all_of(await here.submit("m"))
        assert here.slots() == {"m": 4}
    async with box(parallel=1, engine=engine) as here:
        await here.all_of(await here.submit("m", 12))
        assert here.slots() == {"m": 1}


@pytest.mark.parametrize(("before", "after"), [(1, 4), (4, 1), (3, 7), (7, 2)])
async def test_after_a_restart_of_the_backend_with_other_settings_the_number_is_found_again(
    before, after, autojump_clock
):
    async with box(parallel=before) as here:
        await here.all_of(await here.submit("m", 20))
        assert here.slots() == {"m": before}
        here.backend.down = "restarted"
        waiting = await here.submit("m", 20)
        await trio.sleep(10)
        here.simulator.restart(parallel=after)
        here.backend.down = None
        await here.all_of(waiting)
        assert here.slots() == {"m": after}


async def test_a_number_in_the_settings_stays_that_number(autojump_clock):
    async with box({"backend": {"max_concurrency": 3}}) as here:
        await here.all_of(await here.submit("m", 12))
        [backend] = here.queue.status().backends
        assert backend.max_concurrency == 3


async def test_max_workers_bounds_all(autojump_clock):
    async with box({"queue": {"max_workers": 2}}, parallel=4) as here:
        await here.all_of(await here.submit("m", 30))
        assert here.simulator.max_running == 2


async def test_when_the_machine_is_told_to_hold_one_model_another_gets_its_turn(autojump_clock):
    async with box({"backend": {"max_models": 1}}, max_models=1, default=SHORT) as here:
        with trio.CancelScope() as flood:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(here.flood, "b", 3)
                await trio.sleep(20)
                [other] = await here.all_of(await here.submit("c"))
                flood.cancel()
        assert first_token(other) <= 0.2 + LOAD + 0.5


async def test_that_it_holds_one_model_is_learnt_by_the_first_call_for_another(autojump_clock):
    async with box(max_models=1, default=SHORT) as here:
        with trio.CancelScope() as flood:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(here.flood, "b", 3)
                await trio.sleep(20)
                [first] = await here.all_of(await here.submit("c"))
                await trio.sleep(20)
                [second] = await here.all_of(await here.submit("c"))
                flood.cancel()
        assert first_token(first) <= 5.0 + 0.2 + LOAD + 0.5
        assert first_token(second) <= 0.2 + LOAD + 0.5


async def test_a_copy_that_is_made_meanwhile_takes_no_turn_from_another(autojump_clock):
    async with box(max_models=1, default=SHORT, models=["b:latest", "c:latest"]) as here:
        with trio.CancelScope() as flood:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(here.flood, "b", 3)
                await trio.sleep(20)
                here.simulator.model_files.copy("b:latest", "copy:latest")
                nursery.start_soon(here.flood, "copy", 1)
                await trio.sleep(20)
                assert here.simulator.loaded.loads == ["b"]
                await here.all_of(await here.submit("c"))
                await trio.sleep(20)
                [other] = await here.all_of(await here.submit("c"))
                flood.cancel()
        assert first_token(other) <= 0.2 + LOAD + 0.5


async def test_that_it_holds_more_models_after_a_restart_is_learnt(autojump_clock):
    async with box(max_models=1, default=SHORT) as here:
        await here.all_of([(await here.submit(model))[0] for model in "bcbc"])
        here.backend.down = "restarted"
        waiting = [(await here.submit(model))[0] for model in "bcbc"]
        await trio.sleep(10)
        here.simulator.restart(limit=2)
        here.backend.down = None
        await here.all_of(waiting)
        b, c = await here.all_of([(await here.submit(model))[0] for model in "bc"])
        assert here.simulator.loaded.loads == ["b", "c"]
        assert c.attempts[-1].started_at < b.completed_at, "side by side"


async def test_four_models_and_three_priorities_and_nobody_waits_longer_than_those_before(
    autojump_clock,
):
    async with box({"backend": {"max_models": 3}}, max_models=3) as here:
        ids = []
        for number in range(40):
            model = "abcd"[number % 4]
            ids += await here.submit(model, priority=(LOW, 5, HIGH)[number % 3])
        tasks = await here.all_of(ids)
        for priority in (LOW, 5, HIGH):
            same = [task for task in tasks if task.priority == priority]
            assert started(same) == [task.id for task in same]
        assert all(task.status is Status.COMPLETED for task in tasks)


def alternating() -> list[str]:
    return ["b", "c"] * 16


async def test_first_in_first_out_no_call_starts_before_one_that_came_earlier(autojump_clock):
    async with box(max_models=1) as here:
        ids = [(await here.submit(model))[0] for model in alternating()]
        assert started(await here.all_of(ids)) == ids


async def test_two_models_that_come_mixed_are_not_loaded_for_each_task_where_nothing_is_told(
    autojump_clock,
):
    async with box({"scheduler": {"affinity": True}}, max_models=1) as here:
        tasks = [await here.submit(model, 6) for model in "aba"]
        await here.all_of([task for each in tasks for task in each])
        assert len(here.simulator.loaded.loads) <= 4


async def test_with_affinity_32_alternating_calls_take_two_loads(autojump_clock):
    settings = {
        "backend": {"max_models": 1},
        "scheduler": {"affinity": True, "max_bypass": "60s"},
    }
    async with box(settings, max_models=1) as here:
        ids = [(await here.submit(model))[0] for model in alternating()]
        tasks = await here.all_of(ids)
        total = max(task.completed_at for task in tasks) - tasks[0].created_at
        assert total.total_seconds() <= 1.15 * (32 * SERVICE + 2 * LOAD)
        assert len(here.simulator.loaded.loads) <= 3


async def test_with_affinity_alternating_contexts_are_loaded_three_times_at_most(autojump_clock):
    settings = {"scheduler": {"affinity": True, "max_bypass": "60s"}}
    async with box(settings) as here:
        tasks = [generate(model="m") for _ in range(24)]
        for number, task in enumerate(tasks):
            task.options = msgspec.Raw(b'{"num_ctx":%d}' % (2048 * (1 + number % 2)))
        await here.all_of(await here.queue.raw.submit_many(tasks))
        assert len(here.simulator.loaded.loads) <= 3


async def test_with_a_line_of_one_nine_calls_for_three_models_are_all_answered(autojump_clock):
    async with box(max_queue=1, max_models=1) as here:
        ids = [task for model in "abcabcabc" for task in await here.submit(model)]
        tasks = await here.all_of(ids)
        assert [(task.status, task.retry_count) for task in tasks] == [(Status.COMPLETED, 0)] * 9


async def test_a_busy_backend_is_held_and_the_task_spends_nothing(autojump_clock):
    words = "server busy, please try again.  maximum pending requests exceeded"
    async with box() as here:
        here.simulator.push(*[Script(status=503, error=words)] * 6)
        [task_id] = await here.submit("m")
        waiting = await until_retrying(here.queue, task_id)
        assert waiting.status is Status.PENDING
        assert "busy" in (waiting.waits_for or "")
        [backend] = here.queue.status().backends
        assert words in (backend.held or "")
        [task] = await here.all_of([task_id])
        assert (task.status, task.retry_count) == (Status.COMPLETED, 0)
        assert len(task.attempts) == 1
        assert len(here.simulator.asked("/api/generate")) == 7


async def test_a_backend_that_was_busy_long_ago_is_held_as_shortly_as_the_first_time(
    autojump_clock,
):
    busy = Script(status=503, error="server busy, please try again.")
    async with box() as here:
        here.simulator.push(*[busy] * 4)
        await here.all_of(await here.submit("m"))
        here.simulator.push(busy)
        before = trio.current_time()
        await here.all_of(await here.submit("m"))
        assert trio.current_time() - before <= 1.0 + 2 * SERVICE


async def test_a_killed_runner_and_a_server_that_is_gone_for_a_minute_fail_no_task(autojump_clock):
    async with box() as here:
        here.simulator.push(Script(tokens=15, rate=10, fault="killed", at=5))
        ids = await here.submit("m", 6)
        await trio.sleep(6)
        here.backend.down = "killed"
        await trio.sleep(60)
        here.simulator.restart()
        here.backend.down = None
        tasks = await here.all_of(ids)
        assert all(task.status is Status.COMPLETED for task in tasks)

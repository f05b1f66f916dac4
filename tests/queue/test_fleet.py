"""Several backends with different models: each task reaches one that has its model.

The times are those of the mock clock.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from oq.backends.simulated import Script, SimulatedBackend, Simulator
from oq.queue import Queue, open_queue
from oq.rules.model_list import AGAIN, NEW
from oq.rules.slots import FIRST_LOOK
from oq.store import KeyValueLedger, MemoryEngine
from oq.words.config import to_config
from oq.words.task import RawTask, Status
from tests.support.queues import ended, generate, mock_wall_clock

SERVICE = 1.0
PROBE = 2.0


def box(name: str, *models: str, **settings: Any) -> SimulatedBackend:
    """A machine that has these models, and runs one task at a time, of a second."""
    settings = {"parallel": 1, "default": Script(tokens=11, rate=10), **settings}
    return SimulatedBackend(name, Simulator(models=models or None, **settings))


@asynccontextmanager
async def fleet(
    *boxes: SimulatedBackend,
    engine: MemoryEngine | None = None,
    backends: dict[str, dict[str, Any]] | None = None,
    **sections: Any,
) -> AsyncIterator[Queue]:
    """A queue before these machines; `backends` are settings of some of them."""
    described = [
        {"name": one.name, "kind": "simulated", **(backends or {}).get(one.name, {})}
        for one in boxes
    ]
    config = to_config({"backends": described, "queue": {"probe_interval": PROBE}, **sections})
    async with open_queue(
        config,
        backends=boxes,
        ledger=KeyValueLedger(engine or MemoryEngine()),
        clock=mock_wall_clock(),
    ) as queue:
        await wait_all_tasks_blocked()  # until each has been looked at
        yield queue


async def submit(queue: Queue, *models: str, **fields: Any) -> list[str]:
    return await queue.raw.submit_many([generate(model=model, **fields) for model in models])


async def all_of(queue: Queue, ids: list[str]) -> list[RawTask]:
    with trio.fail_after(1000):
        return [await ended(queue, task_id) for task_id in ids]


def ran_on(task: RawTask) -> str | None:
    assert task.status is Status.COMPLETED, task.error
    assert task.retry_count == 0
    return task.attempts[-1].backend


async def waits_for(queue: Queue, task_id: str) -> str | None:
    return (await queue.raw.get(task_id)).waits_for


async def down(queue: Queue, machine: SimulatedBackend) -> None:
    """Until oq has seen it, by a task that it could not run."""
    machine.down = "connection refused"
    await submit(queue, machine.simulator.listed[0])
    await wait_all_tasks_blocked()
    [seen] = [one for one in queue.status().backends if one.name == machine.name]
    assert not seen.up


@pytest.mark.parametrize("affinity", [False, True])
async def test_each_task_reaches_the_backend_that_has_its_model(affinity, autojump_clock):
    one, two = box("one", "alpha", "both"), box("two", "beta:7b", "both")
    async with fleet(one, two, scheduler={"affinity": affinity}) as queue:
        ids = await submit(queue, *["alpha", "beta:7b", "alpha:latest", "beta:7b"] * 5)
        tasks = await all_of(queue, ids)
        assert [ran_on(task) for task in tasks] == ["one", "two"] * 10
        took = max(task.completed_at for task in tasks) - tasks[0].created_at
        assert took.total_seconds() == pytest.approx(10 * SERVICE, abs=0.5), "side by side"
        both = await all_of(queue, await submit(queue, *["both"] * 4))
        assert {ran_on(task) for task in both} == {"one", "two"}


@pytest.mark.parametrize("waiting", [1, 300])
async def test_tasks_that_cannot_run_now_block_none_that_can(waiting, autojump_clock):
    one, two = box("one", "alpha"), box("two", "beta")
    async with fleet(one, two) as queue:
        await down(queue, two)
        blocked = await submit(queue, *["beta"] * waiting, priority="critical")
        [free] = await all_of(queue, await submit(queue, "alpha", priority="low"))
        assert ran_on(free) == "one"
        assert (free.completed_at - free.created_at).total_seconds() < 2 * SERVICE
        said = await waits_for(queue, blocked[0])
        assert said == "only two has beta: two is down since 22:13 UTC"
        two.down = None
        tasks = await all_of(queue, blocked[:3])
        assert {ran_on(task) for task in tasks} == {"two"}


async def test_a_model_that_is_pulled_elsewhere_while_its_tasks_wait(autojump_clock):
    one, two = box("one", "alpha"), box("two", "beta")
    async with fleet(one, two) as queue:
        await down(queue, two)
        ids = await submit(queue, *["beta"] * 3)
        await trio.sleep(2 * NEW)
        assert (await queue.raw.get(ids[0])).status is Status.PENDING
        one.simulator.model_files.put("beta")
        began = trio.current_time()
        tasks = await all_of(queue, ids)
        assert {ran_on(task) for task in tasks} == {"one"}
        assert trio.current_time() - began <= NEW + 3 * SERVICE + 1


@pytest.mark.parametrize("wait", [0.0, AGAIN / 2, NEW / 2, 2 * NEW])
async def test_a_model_that_has_moved_to_another_backend_since_the_lists_were_read(
    wait, autojump_clock
):
    one, two = box("one", "alpha", "beta"), box("two", "alpha")
    async with fleet(one, two) as queue:
        await trio.sleep(wait)
        two.simulator.model_files.put("beta")
        one.simulator.model_files.remove("beta")
        tasks = await all_of(queue, await submit(queue, *["beta"] * 3))
        assert {ran_on(task) for task in tasks} == {"two"}
        assert len(one.simulator.asked("/api/generate")) == 1, "then it is known"


@pytest.mark.parametrize("wait", [0.0, AGAIN / 2, NEW / 2, 2 * NEW])
async def test_a_model_that_is_gone_is_looked_for_once_and_then_said_to_be_gone(
    wait, autojump_clock
):
    one, two = box("one", "alpha", "beta"), box("two", "alpha")
    async with fleet(one, two) as queue:
        await trio.sleep(wait)
        one.simulator.model_files.remove("beta")
        [task] = await all_of(queue, await submit(queue, "beta"))
        assert task.status is Status.FAILED
        assert "not found" in (task.error or "")
        asked = [len(each.simulator.asked("/api/generate")) for each in (one, two)]
        assert asked == [2, 0]


async def test_an_unknown_model_is_answered_by_the_backend_at_once(autojump_clock):
    one, two = box("one", "alpha"), box("two", "beta")
    async with fleet(one, two) as queue:
        [task] = await all_of(queue, await submit(queue, "gamma"))
        assert task.status is Status.FAILED
        assert "gamma" in task.error
        assert task.retry_count == 0
        assert len(task.attempts) == 1
        assert trio.current_time() < 1


async def test_a_model_that_has_been_removed_costs_no_retry_where_another_has_it(autojump_clock):
    one, two = box("one", "alpha", "shared"), box("two", "beta", "shared")
    async with fleet(one, two) as queue:
        await all_of(queue, await submit(queue, "alpha", "beta"))
        one.simulator.model_files.remove("shared")
        tasks = await all_of(queue, await submit(queue, *["shared"] * 4))
        assert {ran_on(task) for task in tasks} == {"two"}
        assert len(one.simulator.asked("/api/generate")) <= 3, "it is not tried for each task"
        two.simulator.model_files.remove("shared")
        [last] = await all_of(queue, await submit(queue, "shared"))
        assert last.status is Status.FAILED
        assert last.retry_count == 0
        await trio.sleep(2 * NEW)
        one.simulator.model_files.put("shared")
        [again] = await all_of(queue, await submit(queue, "shared"))
        assert ran_on(again) == "one"


async def test_what_a_backend_had_is_known_after_a_restart_while_it_is_down(autojump_clock):
    engine = MemoryEngine()
    one, two = box("one", "alpha"), box("two", "beta")
    async with fleet(one, two, engine=engine) as queue:
        await all_of(queue, await submit(queue, "alpha", "beta"))
    two.down = "connection refused"
    async with fleet(one, two, engine=engine) as queue:
        [beta, alpha] = await submit(queue, "beta", "alpha")
        assert ran_on(await ended(queue, alpha)) == "one"
        await trio.sleep(20)
        assert (await queue.raw.get(beta)).status is Status.PENDING
        two.down = None
        assert ran_on(await ended(queue, beta)) == "two"


async def test_nothing_is_sent_before_it_is_known_who_has_what(autojump_clock):
    """Tasks that wait from the run before are ready at once."""
    engine = MemoryEngine()
    async with fleet(box("one", "alpha"), box("two", "beta"), engine=engine) as queue:
        await queue.raw.pause()
        ids = await submit(queue, *["beta"] * 3)
        await queue.raw.resume()
        await queue.raw.pause()
    async with fleet(box("three", "alpha"), box("four", "beta"), engine=engine) as queue:
        await queue.raw.resume()
        tasks = await all_of(queue, ids)
        assert {task.attempts[-1].backend for task in tasks} <= {"two", "four"}
        assert all(task.status is Status.COMPLETED for task in tasks)


async def test_a_backend_that_says_nothing_at_the_start_holds_nobody_up_for_long(autojump_clock):
    class Mute(SimulatedBackend):
        async def facts(self, *, full: bool = True) -> Any:
            await trio.sleep_forever()

    one, two = Mute("one", Simulator(parallel=1)), box("two", "beta")
    async with fleet(one, two) as queue:
        [beta, other] = await submit(queue, "beta", "other")
        assert ran_on(await ended(queue, beta)) == "two"
        assert "it has not said yet which models it has" in (await waits_for(queue, other) or "")
        assert ran_on(await ended(queue, other)) == "one"
        assert trio.current_time() < FIRST_LOOK + 2


async def test_the_settings_can_say_which_models_a_backend_has(autojump_clock):
    one, two = box("one"), box("two")
    said = {"one": {"models": ["gpt-*", "o?"]}, "two": {"models": ["qwen*", "o33"]}}
    async with fleet(one, two, backends=said) as queue:
        tasks = await all_of(queue, await submit(queue, "gpt-5", "o3", "qwen3:4b", "o33"))
        assert [ran_on(task) for task in tasks] == ["one", "one", "two", "two"]


async def test_a_more_urgent_task_for_a_backend_that_is_down_calls_nothing_back_elsewhere(
    autojump_clock,
):
    prompts = Script(delay=0.5, tokens=6, rate=10)
    one, two = box("one", "m:latest", parallel=4, default=prompts), box("two", "x:latest")
    async with fleet(one, two) as queue:
        two.down = "unplugged"
        await submit(queue, "x", priority=15)
        tasks = await all_of(queue, await submit(queue, *["m"] * 20, priority=1))
        assert one.simulator.max_running >= 4
        assert len(one.simulator.calls) == len(tasks), "each was sent once"


async def test_backends_show_the_models_that_decide_where_a_task_goes(autojump_clock):
    one, two, cloud = box("one", "alpha"), box("two", "beta"), box("cloud", "gpt-5", "dall-e")
    async with fleet(one, two, cloud, backends={"cloud": {"models": ["gpt-*"]}}) as queue:
        await down(queue, two)
        shown = {each.name: each for each in await queue.backends()}
        models = {name: [model.name for model in each.models] for name, each in shown.items()}
        assert models == {"one": ["alpha"], "two": ["beta:latest"], "cloud": ["gpt-5"]}
        assert not shown["two"].up
        assert shown["two"].down_since is not None
        assert "connection refused" in (shown["two"].error or "")


async def test_of_one_backend_alone_the_models_are_what_it_lists_now(autojump_clock):
    one = box("one", "alpha")
    async with fleet(one, backends={"one": {"models": ["gpt-*"]}}) as queue:
        [shown] = await queue.backends()
        assert [model.name for model in shown.models] == ["alpha"]
        await down(queue, one)
        [shown] = await queue.backends()
        assert shown.models == ()


async def test_nothing_overtakes_a_swap_where_there_are_several_backends_either(autojump_clock):
    one = box("one", "b", "c", parallel=2, max_models=1, load=1.0)
    two = box("two", "x")
    async with fleet(one, two, backends={"one": {"max_models": 1}}) as queue:
        await all_of(queue, await submit(queue, *["b"] * 10))
        one.simulator.push(Script(tokens=41, rate=10))
        ids = await submit(queue, "b", "b", "c", "b", "x", "b")
        tasks = await all_of(queue, ids)
        handed = sorted(tasks, key=lambda task: task.attempts[-1].started_at)
        assert [task.model for task in handed if task.model != "x"] == ["b", "b", "c", "b", "b"]
        assert ran_on(tasks[4]) == "two"
        assert tasks[4].completed_at < tasks[2].completed_at, "it did not wait for the swap"

"""A replay comes to what the queue itself did with the same tasks, before the same server."""

from __future__ import annotations

from random import Random

import msgspec
import pytest
import trio

from oq.plan.machine import Asked
from oq.plan.orders import parse_order
from oq.plan.rates import Rates, asked, learn_rates
from oq.plan.replay import replay
from oq.plan.servers import alike
from oq.plan.trace import ran
from oq.words.task import Summary
from tests.queue.test_backend_order import box

LOAD = 2.0
RATE = 20


def traffic(number: int) -> list[Asked]:
    """Three models, four priorities, and pauses now and then."""
    random, now, tasks = Random(7), 0.0, []
    for n in range(number):
        now += n and random.uniform(0, 40 if n % 20 == 0 else 1)
        tokens = random.randint(1, 60)
        tasks.append(
            Asked(
                n, now, f"{random.choice('aabc')}:latest", random.choice([5, 5, 10, 1]), None,
                tokens, tokens, random.uniform(0.1, 2), (tokens - 1) / RATE,
            )
        )  # fmt: skip
    return tasks


async def run(queue, tasks: list[Asked]) -> list[Summary]:
    """Submit each when it comes; what is shown of them when all have ended."""
    began, ids = trio.current_time(), []
    for task in tasks:
        await trio.sleep_until(began + task.at)
        script = {"prompt": task.reads, "rate": RATE, "tokens": task.tokens}
        ids += await queue.submit(task.model, priority=task.priority, simulate=script)
    shown = await queue.all_of(ids)
    return [msgspec.json.decode(msgspec.json.encode(task), type=Summary) for task in shown]


@pytest.mark.parametrize("policy", ["fifo", "affinity,max_bypass=5s"])
async def test_a_replay_comes_to_what_the_queue_did(autojump_clock, policy):
    order, tasks = parse_order(policy), traffic(120)
    settings = {
        "backend": {"max_models": 1, "max_concurrency": 1},
        "scheduler": {"affinity": order.name == "affinity", "max_bypass": "5s"},
    }
    async with box(settings, load=LOAD, max_models=1, parallel=1) as queue:
        done = await run(queue, tasks)
    replayed = replay(tasks, order, alike(), {task.model: Rates(load=LOAD) for task in tasks})
    began = [
        (task.attempts[-1].first_token_at - done[0].created_at).total_seconds() - known.reads
        for task, known in zip(done, tasks, strict=True)
    ]
    assert [call.began for call in replayed.calls] == pytest.approx(began, abs=0.01)
    assert replayed.late == 0
    assert replayed.swaps > 10


async def test_the_speed_is_seen_in_the_trace(autojump_clock):
    async with box({"backend": {"max_models": 1}}, load=LOAD, max_models=1) as queue:
        done = await run(queue, traffic(60))
    trace = [line for task in done if (line := ran(task)) is not None]
    assert len(trace) == 60
    rates = learn_rates(trace)
    for rate in rates.values():
        assert rate.load == pytest.approx(LOAD, abs=0.01)
        assert rate.generated == pytest.approx(RATE, rel=0.05)
    told = sum(task.reads + task.writes for task in asked(trace, rates))
    assert told == pytest.approx(sum(task.reads + task.writes for task in traffic(60)), rel=0.02)

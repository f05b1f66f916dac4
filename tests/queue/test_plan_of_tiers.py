"""A replay comes to what the queue did, with a backend of a higher tier."""

from __future__ import annotations

from random import Random

import pytest
import trio

from oq.plan.machine import Asked
from oq.plan.orders import parse_order
from oq.plan.rates import Rates
from oq.plan.replay import replay
from oq.plan.servers import setup_of
from oq.words.config import to_config
from tests.queue.test_fleet import all_of, box, fleet
from tests.support.queues import generate

RATE = 20
BACKENDS = {
    "box": {"max_models": 1, "max_concurrency": 2},
    "cloud": {"max_models": 1, "max_concurrency": 3, "tier": 1, "overflow_after": "6s"},
}


def traffic(number: int) -> list[Asked]:
    """One model and three priorities; now and then more than the box can do."""
    random, now, tasks = Random(5), 0.0, []
    for n in range(number):
        now += n and random.uniform(0, 40 if n % 20 == 0 else 1.5)
        answer = random.randint(1, 120)
        tasks.append(
            Asked(
                n, now, "m:latest", random.choice([1, 5, 5, 10]), None,
                1 + answer, answer, random.uniform(0.1, 2), (answer - 1) / RATE,
            )
        )  # fmt: skip
    return tasks


@pytest.mark.parametrize("policy", ["fifo", "affinity"])
async def test_a_replay_comes_to_what_the_queue_did(autojump_clock, policy):
    order, tasks = parse_order(policy), traffic(200)
    boxes = box("box", "m", parallel=2), box("cloud", "m", parallel=3)
    scheduler = {"affinity": policy == "affinity"}
    async with fleet(*boxes, backends=BACKENDS, scheduler=scheduler) as queue:
        began, ids = trio.current_time(), []
        for task in tasks:
            await trio.sleep_until(began + task.at)
            script = {"prompt": task.reads, "rate": RATE, "tokens": task.generated}
            body = generate(model="m", priority=task.priority, simulate=script)
            ids += await queue.raw.submit_many([body])
        done = await all_of(queue, ids)
    described = [{"name": name, "kind": "simulated", **BACKENDS[name]} for name in BACKENDS]
    setup = setup_of(to_config({"backends": described}))
    calls = replay(tasks, order, setup, {"m:latest": Rates(load=0.0)}).calls
    assert [call.server for call in calls] == [task.attempts[-1].backend for task in done]
    firsts = [
        (task.attempts[-1].first_token_at - done[0].created_at).total_seconds() for task in done
    ]
    assert [call.answered for call in calls] == pytest.approx(firsts, abs=0.05)
    assert 20 < sum(call.server == "cloud" for call in calls) < 180

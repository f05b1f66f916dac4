"""A replay comes to what the queue did, with the rules of the order that can be turned on."""

from __future__ import annotations

from random import Random

import msgspec
import pytest
import trio

from oq.plan.machine import Asked
from oq.plan.orders import parse_order
from oq.plan.rates import Rates
from oq.plan.replay import replay
from oq.plan.servers import alike
from oq.words.task import RawTask
from tests.queue.test_backend_order import box

RATE = 20
SLOTS = 3


def traffic(number: int) -> list[Asked]:
    """One model, tenants of whom one wants most, and all priorities that a rule has to do with."""
    random, now, tasks = Random(11), 0.0, []
    for n in range(number):
        now += n and random.uniform(0, 60 if n % 20 == 0 else 1.5)
        answer = random.randint(1, 120)
        tasks.append(
            Asked(
                n, now, "m:latest", random.choice([0, 1, 5, 15]), random.choice("aaab"),
                1 + answer, answer, random.uniform(0.1, 2), (answer - 1) / RATE,
            )
        )  # fmt: skip
    return tasks


RULES = {
    "fifo,preempt=true": {"scheduler": {"preempt": True}},
    "fifo,preempt=true,max_preemptions=1,reserve=critical:1": {
        "scheduler": {
            "preempt": True,
            "max_preemptions": 1,
            "reserve": [{"priority": "critical", "slots": 1}],
        }
    },
    "fifo,reserve=critical:2": {
        "scheduler": {"reserve": [{"priority": "critical", "slots": 2}]},
    },
    "fifo,idle_after=3s": {"scheduler": {"idle_after": "3s"}},
    "fifo,fairness=true,quantum=50,weight=b:2": {
        "fairness": {
            "enabled": True,
            "quantum": 50,
            "weights": [{"tenant": "b", "weight": 2}],
        }
    },
    "fifo,fairness=true,preempt=true,idle_after=1s": {
        "fairness": {"enabled": True},
        "scheduler": {"preempt": True, "idle_after": "1s"},
    },
}


async def run(queue, tasks: list[Asked]) -> list[RawTask]:
    """Submit each when it comes; what became of them when all have ended."""
    began, ids = trio.current_time(), []
    for task in tasks:
        await trio.sleep_until(began + task.at)
        script = {"prompt": task.reads, "rate": RATE, "tokens": task.generated}
        tenant = msgspec.Raw(msgspec.json.encode({"tenant": task.tenant}))
        ids += await queue.submit(
            task.model, priority=task.priority, simulate=script, metadata=tenant
        )
    return await queue.all_of(ids)


@pytest.mark.parametrize("policy", RULES)
async def test_a_replay_comes_to_what_the_queue_did(autojump_clock, policy):
    order, tasks = parse_order(policy), traffic(120)
    backend = {"max_models": 1, "max_concurrency": SLOTS}
    async with box(
        {"backend": backend, **RULES[policy]}, load=0.0, max_models=1, parallel=SLOTS
    ) as queue:
        done = await run(queue, tasks)
    rates = {"m:latest": Rates(load=0.0)}
    calls = replay(tasks, order, alike(slots=SLOTS), rates).calls
    began = [
        (task.attempts[-1].first_token_at - done[0].created_at).total_seconds() - known.reads
        for task, known in zip(done, tasks, strict=True)
    ]
    assert [call.began for call in calls] == pytest.approx(began, abs=0.05)
    plain = replay(tasks, parse_order("fifo"), alike(slots=SLOTS), rates).calls
    changed = sum(one.began != other.began for one, other in zip(calls, plain, strict=True))
    assert changed > 20, "the rule changes what starts when"

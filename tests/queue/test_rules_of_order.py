"""The rules of the order that can be turned on, in a queue before a simulated Ollama: fairness
between tenants, reserved slots, idle tasks, and preemption. The times are those of the mock clock.
"""

from __future__ import annotations

import msgspec
import pytest
import trio

from oq.backends.base import Emit, Request
from oq.backends.simulated import Script, SimulatedBackend, Simulator
from oq.dialects import ENDPOINTS
from oq.queue import open_queue
from oq.queue.gateway_calls import NewCall
from oq.store import KeyValueLedger, MemoryEngine
from oq.words.config import to_config
from oq.words.outcome import Completed
from oq.words.task import Status
from tests.queue.test_backend_order import CRITICAL, LOW, box, first_token, started
from tests.support.queues import ended, generate, mock_wall_clock, until

IDLE, NORMAL = 0, 5
LONG = Script(tokens=200, rate=10)
FAIR = {"fairness": {"enabled": True, "quantum": 0}}


def of(tenant: str, by: str = "tenant") -> dict[str, msgspec.Raw]:
    return {"metadata": msgspec.Raw(msgspec.json.encode({by: tenant}))}


async def test_a_tenant_that_comes_late_does_not_wait_for_all_of_another(autojump_clock):
    async with box(FAIR) as here:
        flood = await here.submit("m", 12, **of("ann"))
        await trio.sleep(3)
        trickle = await here.submit("m", 3, **of("bob"))
        order = started(await here.all_of([*flood, *trickle]))
        came = order.index(trickle[0])
        assert came <= 4
        assert set(trickle) <= set(order[came : came + 6]), "in turns from then on"
        assert [task for task in order if task in flood] == flood


async def test_without_fairness_it_does(autojump_clock):
    async with box() as here:
        flood = await here.submit("m", 12, **of("ann"))
        await trio.sleep(3)
        trickle = await here.submit("m", 3, **of("bob"))
        assert started(await here.all_of([*flood, *trickle])) == [*flood, *trickle]


async def test_a_weight_is_a_share(autojump_clock):
    weights = [{"tenant": "a", "weight": 3}]
    settings = {"fairness": {"enabled": True, "quantum": 0, "by": "team", "weights": weights}}
    async with box(settings) as here:
        tasks = {name: await here.submit("m", 12, **of(name, "team")) for name in "ab"}
        order = started(await here.all_of([*tasks["a"], *tasks["b"]]))
        first = order[2:14]  # what the first two cost was not known when they began
        assert sum(task in tasks["a"] for task in first) in (9, 10)


async def test_calls_of_programs_have_tenants_too(autojump_clock):
    async with box(FAIR) as here:
        body = b'{"model":"m","prompt":"hello","stream":false}'

        async def call(tenant: str) -> str:
            new = NewCall(
                call=ENDPOINTS["/api/generate"], body=body, model="m", priority=NORMAL,
                detached=True, tenant=tenant,
            )  # fmt: skip
            return (await here.queue.calls.accept(new, None)).task_id

        flood = [await call("ann") for _ in range(8)]
        await trio.sleep(1)
        late = await call("bob")
        order = started(await here.all_of([*flood, late]))
        assert order.index(late) <= 2


async def test_tenants_are_known_after_a_restart(autojump_clock):
    engine = MemoryEngine()
    async with box({**FAIR, "queue": {"drain_timeout": 0}}, engine) as here:
        await here.queue.raw.pause()
        flood = await here.submit("m", 6, **of("ann"))
        late = await here.submit("m", 2, **of("bob"))
    async with box(FAIR, engine) as here:
        await here.queue.raw.resume()
        order = started(await here.all_of([*flood, *late]))
        assert [order.index(task) < 4 for task in late] == [True, True]


async def test_a_slot_is_kept_for_the_urgent(autojump_clock):
    settings = {
        "backend": {"max_concurrency": 2},
        "scheduler": {"reserve": [{"priority": "critical", "slots": 1}]},
    }
    async with box(settings, parallel=2, default=LONG) as here:
        await here.all_of(await here.submit("m"))
        low = await here.submit("m", 3, priority=LOW)
        await trio.sleep(1)
        [critical] = await here.all_of(await here.submit("m", priority=CRITICAL))
        assert first_token(critical) <= 0.3
        await here.all_of(low)


async def test_idle_tasks_run_in_the_pauses(autojump_clock):
    async with box({"scheduler": {"idle_after": "30s"}}) as here:
        idle = await here.submit("m", 2, priority=IDLE)
        first, second = await here.all_of(idle)
        at_once = await here.submit("m")
        idle = await here.submit("m", priority=IDLE)
        [normal] = await here.all_of(at_once)
        [third] = await here.all_of(idle)
        assert (first.started_at - first.created_at).total_seconds() < 0.1, "nothing had run"
        assert (third.attempts[-1].started_at - normal.completed_at).total_seconds() == (
            pytest.approx(30, abs=0.1)
        )
        assert second.status is Status.COMPLETED


PREEMPT = {"scheduler": {"preempt": True, "max_preemptions": 2}}


async def test_a_critical_task_takes_the_slot_of_a_low_one(autojump_clock):
    async with box(PREEMPT, default=LONG) as here:
        await here.all_of(await here.submit("m"))
        [low] = await here.submit("m", priority=LOW)
        await trio.sleep(10)
        [critical] = await here.all_of(await here.submit("m", priority=CRITICAL))
        assert first_token(critical) <= 0.5, "and not after the other 10 s"
        [task] = await here.all_of([low])
        assert (task.status, task.retry_count) == (Status.COMPLETED, 0)
        assert [attempt.error for attempt in task.attempts] == ["a critical task came first", None]


async def test_a_task_is_preempted_so_many_times_and_no_more(autojump_clock):
    async with box(PREEMPT, default=LONG) as here:
        await here.all_of(await here.submit("m"))
        [low] = await here.submit("m", priority=LOW)
        for _ in range(3):
            await until(here.queue, low, Status.RUNNING)
            await trio.sleep(5)
            [critical] = await here.all_of(await here.submit("m", priority=CRITICAL))
        assert first_token(critical) > 10, "the third waits"
        [task] = await here.all_of([low])
        assert len(task.attempts) == 3


async def test_an_answer_that_somebody_reads_is_not_taken_away(autojump_clock):
    async with box(PREEMPT, default=LONG) as here:
        await here.all_of(await here.submit("m"))
        [low] = await here.submit("m", priority=LOW)
        await until(here.queue, low, Status.RUNNING)
        await trio.sleep(5)
        async with trio.open_nursery() as nursery:

            async def read() -> None:
                with here.queue.raw.stream(low) as stream:
                    async for _ in stream:
                        pass

            nursery.start_soon(read)
            await trio.sleep(1)
            [critical] = await here.all_of(await here.submit("m", priority=CRITICAL))
        assert first_token(critical) > 10
        [task] = await here.all_of([low])
        assert len(task.attempts) == 1


async def test_without_the_setting_nothing_is_preempted(autojump_clock):
    async with box(default=LONG) as here:
        await here.all_of(await here.submit("m"))
        low = await here.submit("m", priority=LOW)
        await trio.sleep(10)
        [critical] = await here.all_of(await here.submit("m", priority=CRITICAL))
        assert first_token(critical) > 9
        await here.all_of(low)


async def test_what_comes_in_the_moment_of_the_preemption_is_no_half_answer(autojump_clock):
    """The backend has ended, and its last words are on the way, when the task is told to go back:
    they are not passed on, so it runs again, and its stream has all of them.
    """

    class Stubborn(SimulatedBackend):
        """It does not notice that it is cancelled."""

        async def run(self, request: Request, emit: Emit) -> Completed:
            with trio.CancelScope(shield=True):
                return await super().run(request, emit)

    backend = Stubborn(simulator=Simulator(Script(text="one two three four", rate=1), parallel=1))
    config = to_config({"scheduler": {"preempt": True}, "queue": {"max_workers": 1}})
    async with open_queue(
        config, backends=[backend], ledger=KeyValueLedger(MemoryEngine()), clock=mock_wall_clock()
    ) as queue:
        low = (await queue.raw.submit(generate(model="m", priority=LOW))).task_id
        await until(queue, low, Status.RUNNING)
        await trio.sleep(2.5)
        await queue.raw.submit(generate(model="m", priority=CRITICAL))
        task = await ended(queue, low)
        assert task.status is Status.COMPLETED
        with queue.raw.stream(low) as stream:
            chunks = [chunk.data async for chunk in stream]
        assert "".join(chunks) == "one two three four"
        assert len(task.attempts) == 2

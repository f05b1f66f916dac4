"""Random histories before a simulated machine: whatever users and the machine do, each task ends,
none runs twice at once, and the machine is not idle while a task could run there.

Each history is made from the number of its test, so it can be repeated.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from random import Random

import msgspec
import pytest
import trio

from oq.backends.simulated import Script
from oq.words.errors import OqError
from oq.words.task import RawTask, Status
from tests.queue.test_backend_order import Box, box
from tests.support.queues import generate

LOOK = 0.25
"""Seconds of the mock clock between two looks at what the machine does."""
MOMENT = 0.6
"""Seconds for which the machine may be idle though a task could run: oq looks at it each .25 s."""
FOR_EVER = 3000.0
STEPS = 60


class History:
    """What happens to one queue and its machine."""

    def __init__(self, random: Random, here: Box) -> None:
        self.random, self.here = random, here
        self.ids: list[str] = []
        self.wrong: list[str] = []
        self.paused = False

    async def happen(self) -> None:
        """One step after the other."""
        steps = [self.submit] * 12 + [self.cancel, self.raise_or_lower] * 2
        steps += [self.pause, self.restart, self.unload, self.busy]
        for _ in range(STEPS):
            await trio.sleep(self.random.choice([0, 0.05, 0.3, 1.0, 3.0]))
            await self.random.choice(steps)()

    async def submit(self) -> None:
        """Some tasks, mostly for the same model."""
        tasks = []
        for _ in range(self.random.choice([1, 1, 2, 6])):
            script = Script(
                prompt=self.random.choice([0, 0, 0, 2]),
                tokens=self.random.choice([3, 15, 15, 100]),
                rate=10,
            )
            self.here.simulator.push(script)
            task = generate(
                prompt=f"task {len(self.ids) + len(tasks)}",
                model=self.random.choice("bbbccd"),
                priority=self.random.choice([1, 5, 5, 15]),
            )
            if self.random.random() < 0.1:
                task.options = msgspec.Raw(b'{"num_ctx":2048}')
            tasks.append(task)
        self.ids += await self.here.queue.raw.submit_many(tasks)

    async def cancel(self) -> None:
        with suppress(OqError, IndexError):
            await self.here.queue.raw.cancel(self.random.choice(self.ids))

    async def raise_or_lower(self) -> None:
        with suppress(OqError, IndexError):
            priority = self.random.choice([1, 5, 15])
            await self.here.queue.raw.set_priority(self.random.choice(self.ids), priority)

    async def pause(self) -> None:
        self.paused = True
        await self.here.queue.raw.pause()
        await trio.sleep(self.random.choice([0.1, 2.0]))
        await self.here.queue.raw.resume()
        self.paused = False

    async def restart(self) -> None:
        """The machine is gone, and comes back with other settings."""
        self.here.backend.down = "restarted"
        for model in "bcd":
            self.here.simulator.loaded.kill(model)
        await trio.sleep(self.random.choice([1, 20]))
        settings: list[dict[str, int]] = [{}, {"limit": 1}, {"limit": 3}, {"parallel": 1}]
        self.here.simulator.restart(**self.random.choice([*settings, {"parallel": 4}]))
        self.here.backend.down = None

    async def busy(self) -> None:
        """It has no room for the next calls."""
        words = "server busy, please try again."
        self.here.simulator.push(*[Script(status=503, error=words)] * 3)

    async def unload(self) -> None:
        """Another program has a model leave the memory."""
        self.here.simulator.loaded.unload(self.random.choice("bcd"))

    async def watch(self) -> None:
        """Note what must not be, until cancelled."""
        idle_since: float | None = None
        while True:
            await trio.sleep(LOOK)  # it looks at what is, and waits for nothing
            if not self._is_idle():
                idle_since = None
            elif idle_since is None:
                idle_since = trio.current_time()
            elif trio.current_time() - idle_since > MOMENT:
                self.wrong.append(f"idle since {idle_since}")
            running = Counter(
                call.body for call in self.here.simulator.calls if call.ended_at is None
            )
            self.wrong += [f"twice: {body!r}" for body, number in running.items() if number > 1]

    def _is_idle(self) -> bool:
        """Whether nothing runs, though a task waits that could."""
        status = self.here.queue.status()
        [backend] = status.backends
        waits = status.pending_tasks > status.delayed_tasks
        usable = self.here.backend.down is None and backend.up and backend.held is None
        return waits and usable and not self.paused and status.running_tasks == 0


@pytest.mark.parametrize("number", range(8))
async def test_whatever_happens_each_task_ends_none_runs_twice_and_no_time_is_lost(
    number, autojump_clock
):
    random = Random(number)
    models = random.choice([1, 1, 2, 3])
    told = random.choice([{}, {}, {"max_models": models}, {"max_concurrency": 2}])
    settings = {"backend": told, "scheduler": {"affinity": number % 2 == 1, "max_bypass": "10s"}}
    machine = {
        "parallel": random.choice([1, 1, 2, 4]),
        "max_models": models,
        "load": random.choice([0.5, 1.0, 8.0]),
        "keep_alive": random.choice([0, 5, 300]),
        "max_queue": random.choice([1, 512]),
    }
    async with box(settings, **machine) as here, trio.open_nursery() as nursery:
        history = History(random, here)
        nursery.start_soon(history.watch)
        await history.happen()
        tasks: list[RawTask] = []
        with trio.move_on_after(FOR_EVER):
            tasks = await here.all_of(history.ids)
        nursery.cancel_scope.cancel()
    assert len(tasks) == len(history.ids), f"some wait for ever: {here.queue.status()}"
    assert history.wrong == []
    assert {task.status for task in tasks} <= {Status.COMPLETED, Status.CANCELLED}

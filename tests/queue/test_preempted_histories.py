"""Random histories with preemption on: tasks are submitted, cancelled, deleted, retried and moved
in line while others make them go back, and the queue is shut down or killed and opened again.
Nothing is lost, nothing is completed twice, no slot is lost, and who reads a stream has all of one
answer.

Each history is made from the number of its test, so it can be repeated.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from random import Random

import msgspec
import pytest
import trio

from oq.backends.base import Emit, Request
from oq.queue import Queue, open_queue
from oq.store import KeyValueLedger
from oq.words.config import to_config
from oq.words.errors import BackendFailure, OqError
from oq.words.outcome import Completed
from oq.words.task import Status
from oq.words.views import BackendFacts, Models
from tests.queue.machine.disk import Disk, MemoryDisk, RocksDisk
from tests.support.queues import generate, mock_wall_clock

SLOTS = 3
WORDS = ["one ", "two ", "three ", "four "]
LOW, NORMAL, CRITICAL = 1, 5, 15
LIVES = 4
STEPS = 40
FOR_EVER = 3000.0
LAST = "last"
WENT_BACK = ("a critical task came first", "a more urgent task came first")


def _line(word: str) -> bytes:
    return msgspec.json.encode({"response": word, "done": False}) + b"\n"


class Server:
    """It answers a prompt in some seconds, word by word, and sometimes fails."""

    name, kind, url = "server", "simulated", ""
    measures = False

    def __init__(self, random: Random) -> None:
        self.random = random
        self.running: Counter[str] = Counter()
        self.completed: set[str] = set()  # what users were told to be completed
        self.wrong: list[str] = []
        self.awaited, self.all_run = 0, trio.Event()
        """So many of the last tasks have to run at once, or none of them goes on."""

    async def run(self, request: Request, emit: Emit) -> Completed:
        prompt = msgspec.json.decode(request.payload)["prompt"]
        if self.running[prompt]:
            self.wrong.append(f"{prompt} runs twice at once")
        if prompt in self.completed:
            self.wrong.append(f"{prompt} runs again though it was completed")
        if self.running.total() >= SLOTS:
            self.wrong.append("more run than there are slots")
        self.running[prompt] += 1
        try:
            if prompt.startswith(LAST):
                if self.running.total() == self.awaited:
                    self.all_run.set()
                await self.all_run.wait()
            await self.answer(emit, may_fail=not prompt.startswith(LAST))
        finally:
            self.running[prompt] -= 1
        return Completed(msgspec.json.encode({"response": "".join(WORDS), "done": True}))

    async def answer(self, emit: Emit, *, may_fail: bool) -> None:
        await trio.sleep(self.random.choice([0.5, 3.0]))
        if may_fail and self.random.random() < 0.05:
            raise BackendFailure("out of memory")
        for number, word in enumerate(WORDS):
            emit(_line(word))
            try:
                await trio.sleep(self.random.choice([0.2, 1.0, 4.0]))
            except trio.Cancelled:
                if self.random.random() < 0.5:
                    raise
                with trio.CancelScope(shield=True):
                    # By the mock clock: the backend does not notice at once that it is broken off.
                    await trio.sleep(0.3)
                    for rest in WORDS[number + 1 :]:
                        emit(_line(rest))
                return

    async def probe(self) -> None: ...

    async def models(self) -> Models:
        return Models()

    async def facts(self, *, full: bool = True) -> BackendFacts:
        return BackendFacts()

    async def aclose(self) -> None: ...


class History:
    """What happens to one queue over its lives."""

    def __init__(self, random: Random, disk: Disk) -> None:
        self.random = random
        self.server = Server(random)
        self.disk = disk
        self.prompts: dict[str, str] = {}  # of the tasks that were acknowledged and not deleted
        self.cancelled: set[str] = set()
        self.read: list[str] = []
        self.went_back: set[str] = set()

    async def live(self, steps: int) -> None:
        """One life of the queue. With 0 steps it goes on until all have ended."""
        config = to_config(
            {
                "queue": {
                    "max_workers": SLOTS, "drain_timeout": self.random.choice([0, 0, 2, 60]),
                },
                "scheduler": {
                    "preempt": True, "max_preemptions": self.random.choice([1, 3, 100]),
                    "affinity": self.random.choice([False, True]),
                },
                "fairness": {"enabled": self.random.choice([False, True])},
                "retry_config": {"initial_delay": "1s", "jitter": False},
            }
        )  # fmt: skip
        with trio.CancelScope() as life:
            async with (
                open_queue(
                    config, backends=[self.server], ledger=KeyValueLedger(self.disk.open()),
                    clock=mock_wall_clock(),
                ) as queue,
                trio.open_nursery() as readers,
            ):  # fmt: skip
                await self.check_all(queue)
                for step in range(steps):
                    if step < SLOTS + 1:  # one goes back at the start of each life
                        await self.submit_one(queue, LOW if step < SLOTS else CRITICAL)
                    await trio.sleep(self.random.choice([0, 0.05, 0.3, 1.0, 4.0]))
                    await self.step(queue, readers)
                if not steps:
                    await self.see_the_end(queue)
                readers.cancel_scope.cancel()
                if steps and self.random.random() < 0.5:
                    self.disk.crash()
                    life.cancel()

    async def step(self, queue: Queue, readers: trio.Nursery) -> None:
        verbs = [self.submit] * 8 + [self.cancel, self.delete, self.move, self.retry, self.look]
        verb = self.random.choice([*verbs, self.pause])
        if self.random.random() < 0.1 and self.prompts:
            readers.start_soon(self.read_stream, queue, self.any())
        with suppress(OqError, IndexError):
            await verb(queue)

    def any(self) -> str:
        return self.random.choice([*self.prompts][-12:])

    async def submit(self, queue: Queue) -> None:
        for _ in range(self.random.choice([1, 1, 3])):
            priority = self.random.choice([0, LOW, LOW, LOW, LOW, LOW, NORMAL, CRITICAL])
            await self.submit_one(queue, priority)

    async def submit_one(self, queue: Queue, priority: int) -> None:
        prompt = f"task {len(self.prompts)} {self.random.random()}"
        task = generate(prompt, priority=priority, max_retries=20)
        self.prompts[(await queue.raw.submit(task)).task_id] = prompt

    async def cancel(self, queue: Queue) -> None:
        task_id = self.any()
        await queue.raw.cancel(task_id)
        self.cancelled.add(task_id)

    async def delete(self, queue: Queue) -> None:
        task_id = self.any()
        await queue.raw.delete(task_id)
        del self.prompts[task_id]

    async def move(self, queue: Queue) -> None:
        await queue.raw.set_priority(self.any(), self.random.choice([0, LOW, CRITICAL]))

    async def retry(self, queue: Queue) -> None:
        task_id = self.any()
        if (await queue.raw.get(task_id)).status is Status.CANCELLED:
            await queue.raw.retry(task_id)
            self.cancelled.discard(task_id)

    async def pause(self, queue: Queue) -> None:
        await queue.raw.pause()
        await trio.sleep(0.5)  # by the mock clock: so long it is paused, whatever happens
        await queue.raw.resume()

    async def look(self, queue: Queue) -> None:
        await self.check(queue, self.any())

    async def read_stream(self, queue: Queue, task_id: str) -> None:
        text, done = "", False
        with suppress(OqError), queue.raw.stream(task_id) as stream:
            async for chunk in stream:
                text = ("" if chunk.restart else text) + chunk.data
                done = chunk.done and chunk.status is Status.COMPLETED
        if done:
            self.read.append(text)

    async def check(self, queue: Queue, task_id: str) -> None:
        task = await queue.raw.get(task_id)
        if task.status is Status.COMPLETED:
            self.server.completed.add(self.prompts[task_id])
        if any(attempt.error in WENT_BACK for attempt in task.attempts):
            self.went_back.add(task_id)

    async def check_all(self, queue: Queue) -> None:
        """None that was acknowledged is missing, and what was cancelled stays so."""
        for task_id in self.prompts:
            await self.check(queue, task_id)
            task = await queue.raw.get(task_id)
            assert (task.status is Status.CANCELLED) == (task_id in self.cancelled)

    async def see_the_end(self, queue: Queue) -> None:
        """All end, and then all slots are free."""
        for task_id in self.prompts:
            task = await queue.raw.get(task_id, wait=FOR_EVER)
            expected = Status.CANCELLED if task_id in self.cancelled else Status.COMPLETED
            assert task.status is expected, task
            await self.check(queue, task_id)
        await self.run_last(queue, 1)
        status = queue.status()
        assert (status.running_tasks, status.pending_tasks) == (0, 0)
        await self.run_last(queue, SLOTS)

    async def run_last(self, queue: Queue, number: int) -> None:
        """So many tasks, none of which ends before all run."""
        self.server.awaited, self.server.all_run = number, trio.Event()
        ids = [(await queue.raw.submit(generate(f"{LAST} {n}"))).task_id for n in range(number)]
        for task_id in ids:
            task = await queue.raw.get(task_id, wait=FOR_EVER)
            assert task.status is Status.COMPLETED, f"{queue.status()}"


ON_DISK = pytest.param(4, RocksDisk, marks=pytest.mark.slow)


@pytest.mark.parametrize(("number", "disk"), [*((n, MemoryDisk) for n in range(4)), ON_DISK])
async def test_whatever_happens_to_tasks_that_go_back_each_is_completed_once(
    number, disk, autojump_clock
):
    histories = [History(Random(2 * number + n), disk()) for n in range(2)]
    for history in histories:
        try:
            for _ in range(LIVES):
                await history.live(STEPS)
            await history.live(0)
        finally:
            history.disk.remove()
        assert not history.server.wrong
        assert {*history.read} <= {"".join(WORDS)}
    assert any(history.went_back for history in histories), "or they tell nothing"

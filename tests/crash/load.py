"""A queue at work until the power goes: clients submit, in ones and in batches, and cancel."""

from __future__ import annotations

import random
from contextlib import suppress
from itertools import count

import msgspec
import trio

from oq.backends.base import Emit, Request
from oq.backends.simulated import NoopBackend
from oq.queue import Queue, open_queue
from oq.store import KeyValueLedger
from oq.words.config import to_config
from oq.words.errors import Conflict
from oq.words.messages import Committed
from oq.words.new import NewTask, generate
from oq.words.outcome import Completed
from oq.words.steps import Change
from oq.words.task import Priority

from .ledger import Ledger
from .power import PowerCut

CLIENTS = 6
CONFIG = to_config({"queue": {"max_workers": 4, "max_completed_tasks": 0}})


class Watch(NoopBackend):
    """Answers after a moment, and sees which tasks run although they were reported as ended."""

    def __init__(self, ledger: Ledger, chance: random.Random) -> None:
        super().__init__()
        self.again: list[str] = []
        self._ledger = ledger
        self._chance = chance
        self._ended = {ledger.prompts.get(task_id) for task_id in ledger.ended}

    async def run(self, request: Request, emit: Emit) -> Completed:
        prompt = msgspec.json.decode(request.payload)["prompt"].partition(" ")[0]
        if prompt in self._ended:
            self.again.append(prompt)
        await trio.sleep(self._chance.choice([0, 0, 0.001, 0.005]))
        return await super().run(request, emit)


async def work_until_cut(
    tasks: KeyValueLedger, ledger: Ledger, chance: random.Random, life: str
) -> None:
    """Put the queue to work; return when the power is gone. Every task's prompt begins with `life`.

    AssertionError when a task runs again that was reported as ended.
    """
    backend = Watch(ledger, chance)
    numbers = count()
    try:
        with trio.fail_after(60):
            async with open_queue(CONFIG, backends=[backend], ledger=tasks) as queue:
                queue.observe(lambda committed: _report(ledger, committed))
                async with trio.open_nursery() as clients:
                    for _ in range(CLIENTS):
                        clients.start_soon(_client, queue, ledger, chance, life, numbers)
    except* PowerCut:
        pass
    assert backend.again == [], "ran although they were reported as ended"


async def finish(tasks: KeyValueLedger, ledger: Ledger) -> None:
    """Let all that waits run to its end. AssertionError as above."""
    backend = Watch(ledger, random.Random(0))
    async with open_queue(CONFIG, backends=[backend], ledger=tasks) as queue:
        for task_id in [task.task_id for task in tasks.store.pending()]:
            assert (await queue.raw.get(task_id, wait=60)).status.ended
    assert backend.again == [], "ran although they were reported as ended"


def _report(ledger: Ledger, committed: Committed) -> None:
    for step in committed.steps:
        if isinstance(step, Change):
            ledger.report(step.state)


async def _client(
    queue: Queue, ledger: Ledger, chance: random.Random, life: str, numbers: count[int]
) -> None:
    while True:
        if chance.random() < 0.2:
            await _submit_batch(queue, ledger, chance, f"{life}-{next(numbers)}")
            continue
        prompt = f"{life}-{next(numbers)}"
        task_id = await queue.submit(_task(prompt, chance), idempotency_key=_key(prompt, chance))
        ledger.acknowledge(task_id, prompt)
        if chance.random() < 0.2:
            with suppress(Conflict):  # it has ended meanwhile
                await queue.cancel(task_id)
                ledger.acknowledge_cancel(task_id)


async def _submit_batch(queue: Queue, ledger: Ledger, chance: random.Random, batch: str) -> None:
    prompts = [f"{batch}/{number}" for number in range(chance.randint(2, 8))]
    ledger.batches[batch] = len(prompts)
    ids = await queue.submit_many([_task(prompt, chance) for prompt in prompts])
    for task_id, prompt in zip(ids, prompts, strict=True):
        ledger.acknowledge(task_id, prompt)


def _task(prompt: str, chance: random.Random) -> NewTask:
    text = prompt + " " + "x" * chance.choice([10, 1000, 20_000])
    return generate("m", text, priority=chance.choice(list(Priority)))


def _key(prompt: str, chance: random.Random) -> str | None:
    return prompt if chance.random() < 0.3 else None

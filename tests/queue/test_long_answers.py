"""Long answers are written while they come: memory holds a part, the disk all, and nothing is left
of an attempt that came to nothing.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from oq.actors import streams
from oq.rules.stream_log import PORTION
from oq.store import MemoryEngine
from oq.store.keys import IN_PARTS
from oq.words.errors import BackendFailure, StoreFull
from oq.words.outcome import Completed
from oq.words.task import Status
from oq.words.views import BackendFacts
from tests.support.queues import ended, generate, memory_queue, until
from tests.support.stores import everything

AHEAD = 2 * PORTION
AT_ONCE = 4 * PORTION
WORD = "x" * (PORTION // 4)
WORDS = 100
WHOLE = WORD * WORDS
PACE = 0.01
"""Seconds, of the mock clock, from word to word."""


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """Answers need not be so long here."""
    monkeypatch.setattr(streams, "AHEAD", AHEAD)
    monkeypatch.setattr(streams, "AHEAD_AT_ONCE", AT_ONCE)


class Disk(MemoryEngine):
    """Notes how many bytes the largest batch had, and can be full."""

    largest = 0
    full = False

    def write(self, batch):
        if self.full:
            raise StoreFull("no space left on the disk")
        self.largest = max(self.largest, sum(len(value or b"") for _, _, value in batch))
        super().write(batch)


class Talker:
    """Says `WHOLE` in words, and waits before the last one. `fails`: so many attempts break off."""

    name, kind, url = "talker", "ollama", "http://localhost:1"
    measures = False

    def __init__(self, *, fails: int = 0) -> None:
        self.fails = fails
        self.waits = trio.Event()
        self.add_mark = trio.Event()

    async def run(self, request, emit) -> Completed:
        await self._say(emit, WORDS - 1)
        if self.fails:
            self.fails -= 1
            raise BackendFailure("broken off")
        self.waits.set()
        await self.add_mark.wait()
        await self._say(emit, 1)
        return Completed(json.dumps({"response": WHOLE, "done": True}).encode())

    async def _say(self, emit: Callable[[bytes], None], words: int) -> None:
        for _ in range(words):
            emit(json.dumps({"response": WORD, "done": False}).encode())
            await trio.sleep(PACE)

    async def probe(self) -> None:
        pass

    async def facts(self, *, full: bool = True) -> BackendFacts:
        return BackendFacts(slots=100)

    async def aclose(self) -> None:
        pass


async def read(queue, task_id: str) -> str:
    """The text with which a reader ends up."""
    said = ""
    async with queue.stream(task_id) as chunks:
        async for chunk in chunks:
            said = "" if chunk.restart else said + chunk.data
    return said


async def test_what_is_long_is_on_disk_before_its_end(autojump_clock):
    engine, backend = Disk(), Talker()
    async with memory_queue(engine, backend) as queue, trio.open_nursery() as readers:
        task_id = await queue.submit(generate())
        texts: list[str] = []

        async def follow() -> None:
            texts.append(await read(queue, task_id))

        readers.start_soon(follow)
        await backend.waits.wait()
        await wait_all_tasks_blocked()
        stream = queue._core.wiring.streams.get(task_id)
        assert stream.log.waiting < AHEAD + PORTION
        on_disk = sum(map(len, everything(engine, "stream").values()))
        assert on_disk > len(WHOLE) - AHEAD - 2 * PORTION
        readers.start_soon(follow)  # which reads back what memory has no longer
        await wait_all_tasks_blocked()
        backend.add_mark.set()
        task = await ended(queue, task_id)
        assert json.loads(bytes(task.result))["response"] == WHOLE
        await follow()
    assert texts == [WHOLE] * 3
    assert set(everything(engine, "result").values()) == {IN_PARTS}
    assert engine.largest < AT_ONCE + PORTION, "no batch is as long as the answer"


async def test_of_a_long_answer_that_is_deleted_nothing_stays_behind(autojump_clock):
    engine, backend = Disk(), Talker()
    backend.add_mark.set()
    async with memory_queue(engine, backend) as queue:
        task_id = await queue.submit(generate())
        assert (await ended(queue, task_id)).status is Status.COMPLETED
        assert len(everything(engine, "stream")) > WORDS / 4
        await queue.delete(task_id)
        assert everything(engine, "stream") == everything(engine, "result") == {}


async def test_of_an_attempt_that_failed_nothing_stays_behind(autojump_clock):
    engine, backend = Disk(), Talker(fails=1)
    async with memory_queue(engine, backend) as queue, trio.open_nursery() as readers:
        task_id = await queue.submit(generate())
        texts: list[str] = []

        async def follow() -> None:
            texts.append(await read(queue, task_id))

        readers.start_soon(follow)
        await until(queue, task_id, Status.RUNNING)
        most = 0
        while backend.fails:
            most = max(most, len(everything(engine, "stream")))
            await trio.sleep(PACE)
        assert most > 10, "something was written ahead"
        await until(queue, task_id, Status.PENDING)
        assert everything(engine, "stream") == {}
        await backend.waits.wait()
        backend.add_mark.set()
        await ended(queue, task_id)
    assert texts == [WHOLE]


async def test_of_a_process_that_died_nothing_stays_behind(autojump_clock):
    engine, backend = Disk(), Talker()
    async with memory_queue(engine, backend) as queue:
        task_id = await queue.submit(generate())
        await backend.waits.wait()
        left = copy.deepcopy(engine._families)
        backend.add_mark.set()
    engine._families = left
    assert len(everything(engine, "stream")) > 10
    backend = Talker()
    async with memory_queue(engine, backend, queue={"max_workers": 1}) as queue:
        assert everything(engine, "stream") == {}
        backend.add_mark.set()
        assert await read(queue, task_id) == WHOLE
        task = await ended(queue, task_id)
        assert json.loads(bytes(task.result))["response"] == WHOLE


async def test_a_cancelled_task_keeps_what_was_said(autojump_clock):
    engine, backend = Disk(), Talker()
    async with memory_queue(engine, backend) as queue:
        task_id = await queue.submit(generate())
        await backend.waits.wait()
        await queue.cancel(task_id)
        assert await read(queue, task_id) == WORD * (WORDS - 1)
        await queue.delete(task_id)
        assert everything(engine, "stream") == {}


async def test_with_a_full_disk_memory_keeps_it_until_there_is_space(autojump_clock):
    engine, backend = Disk(), Talker()
    async with memory_queue(engine, backend) as queue:
        task_id = await queue.submit(generate())
        await until(queue, task_id, Status.RUNNING)
        engine.full = True
        await backend.waits.wait()
        backend.add_mark.set()
        await trio.sleep(5)
        assert (await queue.raw.get(task_id)).status is Status.RUNNING
        engine.full = False
        task = await ended(queue, task_id)
        assert json.loads(bytes(task.result))["response"] == WHOLE
        assert await read(queue, task_id) == WHOLE

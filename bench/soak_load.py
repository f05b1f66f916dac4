"""What users do to a server all day: a steady stream of tasks, and a little of everything else."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import httpx
import msgspec
import trio

from bench.payload import PROMPT
from bench.wire import Answer, address, request
from oq import AsyncClient, NewTask, chat
from oq.words.errors import OqError, lone

STEPS = 10
"""Portions in which the tasks of a second come."""
BEHIND = 2
"""Seconds' work that may be unfinished, or wait for a slot. A second that finds more is left out:
neighbours may take the machine for a while, and the queue need not grow for that.
"""
LONG_PROMPT = PROMPT * 10
"""4 KB, as people's prompts are: RocksDB's buffers fill in minutes, and all is soon as it stays."""
LATER = timedelta(minutes=1)

ID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")
"""A task's id: the same problem with two tasks is one problem."""

Habit = Callable[[], Awaitable[None]]


def told(chunks: int, rate: float = 0, status: int = 200) -> dict[str, float]:
    """Options that tell the stamper how to answer (`bench.stamper`)."""
    return {"num_predict": chunks, "rate": rate, "status": status}


def plain() -> NewTask:
    """A short chat that completes."""
    return chat("m", LONG_PROMPT, options=told(2))


class Users:
    """They submit `rate` tasks a second, as long as the server keeps up."""

    def __init__(self, url: str, rate: int) -> None:
        self.submitted = 0
        self.problems: Counter[str] = Counter()
        """What went wrong, and how often. A healthy server gives no reason to write here."""
        self.seconds = 0
        self.left_out = 0
        self._url, self._rate, self._unfinished, self._waiting = url, rate, 0, 0

    async def live(self, seconds: float) -> None:
        """Do what users do for so long, then return once all of it is done."""
        async with (
            AsyncClient(self._url) as self._queue,
            httpx.AsyncClient(base_url=self._url, timeout=60) as self._http,
            trio.open_nursery() as nursery,
        ):
            begun = trio.current_time()
            for number in range(math.ceil(seconds)):
                await trio.sleep_until(begun + number)
                self.seconds += 1
                if self._unfinished > BEHIND + 3 or self._waiting > BEHIND * self._rate:
                    self.left_out += 1
                    nursery.start_soon(self._guarded, self._look_at_the_line)
                else:
                    nursery.start_soon(self._second, number)

    async def _second(self, number: int) -> None:
        self._unfinished += 1
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._stream_of_tasks)
            for habit, every in self._habits().items():
                if number % every == 0:
                    nursery.start_soon(self._guarded, habit)
        self._unfinished -= 1

    def _habits(self) -> dict[Habit, int]:
        """What they do beside the plain tasks, and every how many seconds."""
        return {
            self._one_that_fails: 1,
            self._cancel_one_that_runs: 1,
            self._delay_one_and_change_its_priority: 1,
            self._submit_one_twice: 1,
            self._follow_one: 1,
            self._call: 1,
            self._leave_a_call: 1,
            self._look_at_the_line: 1,
            self._look_around: 2,
            self._subscribe: 5,
        }

    async def _stream_of_tasks(self) -> None:
        begun = trio.current_time()
        async with trio.open_nursery() as nursery:
            for step in range(STEPS):
                for _ in range(self._rate * (step + 1) // STEPS - self._rate * step // STEPS):
                    nursery.start_soon(self._guarded, self._one)
                await trio.sleep_until(begun + (step + 1) / STEPS)

    async def _guarded(self, habit: Habit) -> None:
        try:
            await habit()
        except* (OqError, httpx.HTTPError, OSError, trio.BrokenResourceError) as errors:
            reason = ID.sub("ID", f"{type(lone(errors)).__name__}: {lone(errors)}")
            self.problems[f"{habit.__name__.strip('_')}: {reason}"] += 1

    async def _submit(self, task: NewTask, key: str | None = None) -> str:
        self.submitted += 1
        return await self._queue.submit(task, idempotency_key=key)

    async def _one(self) -> None:
        await self._submit(plain())

    async def _one_that_fails(self) -> None:
        await self._submit(chat("m", PROMPT, options=told(0, status=500), max_retries=1))

    async def _cancel_one_that_runs(self) -> None:
        task_id = await self._submit(chat("m", PROMPT, options=told(3600, 1), priority="critical"))
        async with self._queue.stream(task_id) as chunks:
            async for _ in chunks:
                break
        await self._queue.cancel(task_id)

    async def _delay_one_and_change_its_priority(self) -> None:
        later = datetime.now(UTC) + LATER
        task_id = await self._submit(chat("m", PROMPT, options=told(2), run_at=later))
        await self._queue.set_priority(task_id, "low")

    async def _submit_one_twice(self) -> None:
        key = f"soak-{self.submitted}"
        first = await self._submit(plain(), key)
        if await self._queue.submit(plain(), idempotency_key=key) != first:
            self.problems["the same key made two tasks"] += 1

    async def _follow_one(self) -> None:
        task_id = await self._submit(chat("m", PROMPT, options=told(20, 50), priority="high"))
        async with self._queue.stream(task_id) as chunks:
            async for _ in chunks:
                pass
        await self._queue.result(task_id, timeout=60)

    def _body(self, chunks: int, rate: float) -> dict[str, object]:
        message = {"role": "user", "content": PROMPT}
        return {"model": "m", "messages": [message], "options": told(chunks, rate)}

    async def _call(self) -> None:
        self.submitted += 1
        (await self._http.post("/api/chat", json=self._body(5, 0))).raise_for_status()

    async def _leave_a_call(self) -> None:
        self.submitted += 1
        body = msgspec.json.encode(self._body(3600, 20))
        async with await trio.open_tcp_stream(*address(self._url)) as stream:
            await stream.send_all(request(self._url, "POST", "/api/chat", body))
            answer = Answer()
            while not answer.begun:
                answer.feed(await stream.receive_some())

    async def _look_at_the_line(self) -> None:
        status = await self._queue.status()
        self._waiting = status.pending_tasks - status.delayed_tasks

    async def _look_around(self) -> None:
        for path in ("/api/tasks?limit=50", "/api/tasks?status=failed&limit=20", "/metrics"):
            (await self._http.get(path)).raise_for_status()

    async def _subscribe(self) -> None:
        """For four seconds: long enough to be sent some hundred events."""
        with trio.move_on_after(4):
            async with self._queue.subscribe() as events:
                async for _ in events:
                    pass

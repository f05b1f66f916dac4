"""Waiting for tasks to end: a few by long polls, many by one feed of events between them all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import anyio
from anyio.abc import TaskGroup

from oq.client import requests
from oq.client.aio_follow import AsyncFollowing
from oq.client.follow import Hello
from oq.client.requests import ApiRequest
from oq.client.retries import BREATH, HELD
from oq.client.task_groups import leaf
from oq.client.waits import Wait, Waits
from oq.words.errors import OqError, Unavailable
from oq.words.events import Event, Lagged
from oq.words.task import Task

POLLS = 4
"""Tasks that are waited for by a connection of their own each; more share one."""
CHECKS = 8
"""Tasks that are asked about at once."""
LINGER = 2.0
"""Seconds that the feed is kept when nobody waits: somebody may come back."""


class Run(Protocol):
    """Runs a call until it succeeds, for as long as the client's patience lasts."""

    async def __call__(self, call: ApiRequest[Task], *, held: bool = False) -> Task: ...


class Watcher:
    """Bears with a server that is away as long as `run` and the feeds do. `group` holds the tasks
    that listen, while somebody waits.
    """

    def __init__(
        self,
        run: Run,
        open_feed: Callable[[], AsyncFollowing[Hello | Event | Lagged]],
        group: TaskGroup,
    ) -> None:
        self._run = run
        self._open_feed = open_feed
        self._group = group
        self._polls = 0
        self._waits = Waits()
        self._news = anyio.Event()
        self._listening: anyio.CancelScope | None = None

    async def ended(self, task_id: str) -> Task:
        """The task, once it has ended. Raises NotFound, Unavailable."""
        if self._polls < POLLS:
            self._polls += 1
            try:
                return await self._poll(task_id)
            finally:
                self._polls -= 1
        return await self._listen(task_id)

    async def _poll(self, task_id: str) -> Task:
        while True:
            task = await self._run(requests.get(task_id, HELD), held=True)
            if task.status.ended:
                return task
            await anyio.sleep(BREATH)

    async def _listen(self, task_id: str) -> Task:
        done = anyio.Event()
        wait = Wait(task_id, done.set)
        self._waits.add(wait)
        self._news.set()
        if self._listening is None:
            self._listening = anyio.CancelScope()
            self._group.start_soon(self._work)
        self._listening.deadline = float("inf")
        try:
            await done.wait()
        finally:
            self._waits.drop(wait)
            if not self._waits and self._listening is not None:
                self._listening.deadline = anyio.current_time() + LINGER
        assert wait.outcome is not None
        if isinstance(wait.outcome, OqError):
            raise wait.outcome
        return wait.outcome

    async def _work(self) -> None:
        """Listen for as long as somebody waits."""
        why: OqError = Unavailable("the client was closed; the task goes on")
        try:
            while self._listening is not None:
                with self._listening:
                    await self._round()
                self._listening = anyio.CancelScope() if self._waits else None
        except* OqError as group:
            why = leaf(group)
        finally:
            self._listening = None
            self._waits.fail_all(why)

    async def _round(self) -> None:
        async with self._open_feed() as feed, anyio.create_task_group() as group:
            begun = anyio.Event()
            for _ in range(CHECKS):
                group.start_soon(self._check, begun)
            async for item in feed:
                self._waits.note(item)
                begun.set()
                if self._waits.due:
                    self._news.set()

    async def _check(self, begun: anyio.Event) -> None:
        """Ask about what is due; nothing is before the feed has begun."""
        await begun.wait()
        while True:
            task_id = self._waits.next_due()
            if task_id is None:
                if self._news.is_set():
                    self._news = anyio.Event()
                await self._news.wait()
                continue
            try:
                self._waits.found(await self._run(requests.get(task_id)))
            except Unavailable:
                raise
            except OqError as error:
                self._waits.failed(task_id, error)

"""Sends the submits of many async tasks in as few requests as possible."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
from anyio.abc import TaskGroup

from oq.client import requests
from oq.client.requests import ApiRequest
from oq.client.submit_batcher import PendingSubmit, SubmitBatcher
from oq.words.durations import Time
from oq.words.errors import OqError, Unavailable

Run = Callable[[ApiRequest[list[str]]], Awaitable[list[str]]]


class SubmitSender:
    """One request is in flight at a time; `group` holds the task that sends, while it does."""

    def __init__(self, run: Run, group: TaskGroup) -> None:
        self._run = run
        self._group = group
        self._batcher = SubmitBatcher()
        self._sending = False

    async def submit(self, body: bytes, key: str | None, max_wait: Time | None = None) -> str:
        """The id of the task, once it is on the server's disk. One with a `max_wait` is sent by
        itself, as that holds for all tasks of a request.

        Whoever is cancelled while his task waits to be sent takes it back; once it is on its way it
        may reach the queue all the same.
        """
        if max_wait is not None:
            call = requests.submit_alone(body, requests.new_key(key), max_wait)
            return (await self._run(call))[0]
        done = anyio.Event()
        pending = PendingSubmit(body, requests.new_key(key), done.set)
        self._batcher.put(pending)
        if not self._sending:
            self._sending = True
            self._group.start_soon(self._send)
        try:
            await done.wait()
        finally:
            pending.unwanted = True
        if isinstance(pending.outcome, str):
            return pending.outcome
        assert pending.outcome is not None
        raise pending.outcome

    async def _send(self) -> None:
        try:
            while (call := self._batcher.next()) is not None:
                try:
                    ids = await self._run(call)
                except OqError as error:
                    self._batcher.refused(error)
                else:
                    self._batcher.answered(ids)
        finally:
            self._sending = False
            self._batcher.close(Unavailable("the client was closed; the task may still be stored"))

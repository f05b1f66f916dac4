"""Sending what many tasks submit at once, in as few requests as that takes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
from anyio.abc import TaskGroup

from oq.client import calls
from oq.client.calls import Call
from oq.client.outbox import Letter, Outbox
from oq.words.errors import OqError, Unavailable

Run = Callable[[Call[list[str]]], Awaitable[list[str]]]


class Mailer:
    """One request is in flight at a time; `group` holds the task that sends, while it does."""

    def __init__(self, run: Run, group: TaskGroup) -> None:
        self._run = run
        self._group = group
        self._outbox = Outbox()
        self._sending = False

    async def submit(self, body: bytes, key: str | None) -> str:
        """The id of the task, once it is on the server's disk.

        Whoever is cancelled while his task waits to be sent takes it back; once it is on its way it
        may reach the queue all the same.
        """
        done = anyio.Event()
        letter = Letter(body, calls.new_key(key), done.set)
        self._outbox.put(letter)
        if not self._sending:
            self._sending = True
            self._group.start_soon(self._send)
        try:
            await done.wait()
        finally:
            letter.unwanted = True
        if isinstance(letter.outcome, str):
            return letter.outcome
        assert letter.outcome is not None
        raise letter.outcome

    async def _send(self) -> None:
        try:
            while (call := self._outbox.next()) is not None:
                try:
                    ids = await self._run(call)
                except OqError as error:
                    self._outbox.refused(error)
                else:
                    self._outbox.answered(ids)
        finally:
            self._sending = False
            self._outbox.close(Unavailable("the client was closed; the task may still be stored"))

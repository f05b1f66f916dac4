"""The backend monitor: it looks whether a backend that is down answers again."""

from __future__ import annotations

import trio

from oq.backends.base import Backend
from oq.words import errors
from oq.words.messages import BackendDown, BackendUp


class Monitor:
    """Looks at each backend once at the start, and then at those that it is told are down."""

    def __init__(
        self,
        backends: dict[str, Backend],
        interval: float,
        inbox: trio.MemoryReceiveChannel[str],
        to_scheduler: trio.MemorySendChannel[BackendUp | BackendDown],
    ) -> None:
        self._backends = backends
        self._interval = interval
        self._inbox = inbox
        self._to_scheduler = to_scheduler

    async def run(self) -> None:
        """Look until the scheduler closes the mailbox."""
        with self._to_scheduler:
            async with trio.open_nursery() as looks:
                for name in self._backends:
                    looks.start_soon(self._look_once, name)
                async for name in self._inbox:
                    looks.start_soon(self._look_until_up, name)
                looks.cancel_scope.cancel()

    async def _look_once(self, name: str) -> None:
        reason = await self._probe(name)
        if reason is not None:
            await self._to_scheduler.send(BackendDown(name, reason))

    async def _look_until_up(self, name: str) -> None:
        reason: str | None = "not looked at yet"
        while reason is not None:
            await trio.sleep(self._interval)
            reason = await self._probe(name)
        await self._to_scheduler.send(BackendUp(name))

    async def _probe(self, name: str) -> str | None:
        """Why the backend is down; None when it answers."""
        try:
            await self._backends[name].probe()
        except errors.BackendError as error:
            return str(error)
        return None

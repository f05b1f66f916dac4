"""The backend monitor: it looks whether a backend that is down answers again, and asks backends
what they say of themselves.
"""

from __future__ import annotations

import trio

from oq.backends.base import Backend
from oq.words import errors
from oq.words.messages import BackendDown, BackendSays, BackendUp, Look
from oq.words.views import BackendFacts

NOT_SAID = BackendFacts(incomplete=True)
"""It did not answer."""


class Monitor:
    """Looks at each backend once at the start, and then whenever it is told to. `interval` is in
    seconds, between two looks at one that is down.
    """

    def __init__(
        self,
        backends: dict[str, Backend],
        interval: float,
        inbox: trio.MemoryReceiveChannel[Look],
        to_scheduler: trio.MemorySendChannel[BackendUp | BackendDown | BackendSays],
    ) -> None:
        self._backends = backends
        self._interval = interval
        self._inbox = inbox
        self._to_scheduler = to_scheduler
        self._asking: set[Look] = set()
        self._again: set[Look] = set()  # of these the answer may be of before it was asked for

    async def run(self) -> None:
        """Look until the scheduler closes the mailbox."""
        with self._to_scheduler:
            async with trio.open_nursery() as looks:
                for name in self._backends:
                    looks.start_soon(self._look_once, name)
                async for look in self._inbox:
                    if look.down:
                        looks.start_soon(self._look_until_up, look.backend)
                    elif look not in self._asking:
                        self._asking.add(look)
                        looks.start_soon(self._ask, look)
                    elif look.full:
                        self._again.add(look)
                looks.cancel_scope.cancel()

    async def _look_once(self, name: str) -> None:
        reason = await self._probe(name)
        if reason is not None:
            await self._to_scheduler.send(BackendDown(name, reason))
        else:
            await self._tell_facts(name, full=True)

    async def _look_until_up(self, name: str) -> None:
        reason: str | None = "not looked at yet"
        while reason is not None:
            await trio.sleep(self._interval)
            reason = await self._probe(name)
        await self._to_scheduler.send(BackendUp(name))
        await self._tell_facts(name, full=True)

    async def _ask(self, look: Look) -> None:
        await self._tell_facts(look.backend, full=look.full)
        while look in self._again:
            self._again.discard(look)
            await self._tell_facts(look.backend, full=look.full)
        self._asking.discard(look)

    async def _tell_facts(self, name: str, *, full: bool) -> None:
        """What the backend says of itself. If it says nothing, it is asked again another time, and
        a full look is over all the same; but not if another one was wanted meanwhile.
        """
        asked_at = trio.current_time()
        try:
            facts = await self._backends[name].facts(full=full)
        except errors.BackendDown as error:
            await self._to_scheduler.send(BackendDown(name, str(error)))
        except errors.BackendError:
            if full and not self._wanted_again(name):
                await self._to_scheduler.send(BackendSays(name, NOT_SAID, asked_at))
        else:
            over = full and not self._wanted_again(name)
            await self._to_scheduler.send(BackendSays(name, facts, asked_at, over))

    def _wanted_again(self, name: str) -> bool:
        return Look(name, full=True) in self._again

    async def _probe(self, name: str) -> str | None:
        """Why the backend is down; None when it answers."""
        try:
            await self._backends[name].probe()
        except errors.BackendError as error:
            return str(error)
        return None

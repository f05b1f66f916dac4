"""Who waits for the answers of calls: a call that nobody waits for any more is cancelled.

Closing the connection is the only cancel that the clients of Ollama and OpenAI know.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import structlog
import trio

from oq.words.errors import Conflict, NotFound, Unavailable

log = structlog.get_logger("oq.calls")


@dataclass(slots=True)
class _Call:
    """A call that somebody waits for, or did until a moment ago."""

    callers: int = 0
    detached: bool = False
    leaving: trio.CancelScope = field(default_factory=trio.CancelScope)


class Presence:
    """One caller. `served` says that it has what it came for, or that the task is to be kept."""

    def __init__(self) -> None:
        self.served = False


class Attendance:
    """`hands` is where it waits for callers to come back, and cancels."""

    def __init__(self, hands: trio.Nursery, cancel: Callable[[str], Awaitable[None]]) -> None:
        self._hands = hands
        self._cancel = cancel
        self._calls: dict[str, _Call] = {}
        self._closing = False

    @contextmanager
    def attend(self, task_id: str, *, detach: bool, grace: float) -> Iterator[Presence]:
        """Be there for the task. `grace` seconds after the last one has left it is cancelled, if
        none of them has detached it or been served.
        """
        call = self._calls.setdefault(task_id, _Call())
        call.callers += 1
        call.detached |= detach
        call.leaving.cancel()  # somebody is there again
        presence = Presence()
        try:
            yield presence
        finally:
            call.callers -= 1
            if not call.callers:
                self._leave(task_id, call, grace, served=presence.served)

    def close(self) -> None:
        """The queue closes: what is left is kept, and runs when it is opened again."""
        self._closing = True
        for call in self._calls.values():
            call.leaving.cancel()

    def _leave(self, task_id: str, call: _Call, grace: float, *, served: bool) -> None:
        if served or call.detached or self._closing:
            del self._calls[task_id]
            return
        call.leaving = trio.CancelScope()
        self._hands.start_soon(self._abandon, task_id, call, call.leaving, grace)

    async def _abandon(
        self, task_id: str, call: _Call, leaving: trio.CancelScope, grace: float
    ) -> None:
        with leaving:
            await trio.sleep(grace)
        if call.callers or call.leaving is not leaving:
            return  # somebody came, and may have left again since
        del self._calls[task_id]
        if self._closing:
            return
        with suppress(Conflict, NotFound, Unavailable):  # it has ended meanwhile, or so has oq
            await self._cancel(task_id)
            log.info("caller has gone; its task is cancelled", task_id=task_id)

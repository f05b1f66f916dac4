"""Cancels a call when all its callers have left.

The clients of Ollama and OpenAI have no other way to cancel than to close the connection.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Self

import structlog
import trio

from oq.words.errors import Conflict, NotFound, Unavailable

log = structlog.get_logger("oq.calls")


@dataclass(slots=True)
class _AttendedCall:
    """A call that somebody waits for, or waited for until a moment ago."""

    callers: int = 0
    detached: bool = False
    leaving: trio.CancelScope | None = None
    """Of what waits for a caller to come back, once all have left."""

    def stay(self) -> None:
        """Somebody is there again, or the queue closes."""
        if self.leaving is not None:
            self.leaving.cancel()
            self.leaving = None


class WaitingCaller:
    """One caller that waits, for a block. `served`: it has its answer, or the task must be kept
    anyway.
    """

    def __init__(self, leave: Callable[[bool], None]) -> None:
        self.served = False
        self._leave = leave

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._leave(self.served)


class Callers:
    """The callers of all calls. Tasks in `nursery` wait for callers to come back, and cancel."""

    def __init__(self, nursery: trio.Nursery, cancel: Callable[[str], Awaitable[None]]) -> None:
        self._nursery = nursery
        self._cancel = cancel
        self._calls: dict[str, _AttendedCall] = {}
        self._closing = False

    def attend(self, task_id: str, *, detach: bool, grace: float) -> WaitingCaller:
        """Be there for the task, from now to the end of the block. `grace` seconds after the last
        one has left it is cancelled, if none of them has detached it or been served.
        """
        call = self._calls.get(task_id)
        if call is None:
            call = self._calls[task_id] = _AttendedCall()
        call.callers += 1
        call.detached |= detach
        call.stay()
        return WaitingCaller(partial(self._leave, task_id, call, grace))

    def close(self) -> None:
        """The queue closes: what is left is kept, and runs when it is opened again."""
        self._closing = True
        for call in self._calls.values():
            call.stay()

    def _leave(self, task_id: str, call: _AttendedCall, grace: float, served: bool) -> None:
        call.callers -= 1
        if call.callers:
            return
        closing = self._closing or self._nursery.cancel_scope.cancel_called
        if served or call.detached or closing:
            del self._calls[task_id]
            return
        call.leaving = trio.CancelScope()
        self._nursery.start_soon(self._abandon, task_id, call, call.leaving, grace)

    async def _abandon(
        self, task_id: str, call: _AttendedCall, leaving: trio.CancelScope, grace: float
    ) -> None:
        with leaving:
            await trio.sleep(grace)
        if call.leaving is not leaving:
            return  # somebody came, and may have left again since, or the queue closes
        del self._calls[task_id]
        with suppress(Conflict, NotFound, Unavailable):  # it has ended meanwhile, or so has oq
            await self._cancel(task_id)
            log.info("caller has gone; its task is cancelled", task_id=task_id)

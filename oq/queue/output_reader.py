"""Follows what a task generates: the stream of each attempt while it runs, and what is stored once
the task has ended. The kinds of readers differ in what of it they give.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import trio

from oq.actors.hub import Watch
from oq.actors.streams import Stream, Streams
from oq.store import Durable

Due = TypeVar("Due")


@dataclass(frozen=True, slots=True)
class Output:
    """Where the output of one task is found. `check_open` raises Unavailable once the queue has
    closed, and `watch` says when the task has changed.
    """

    ledger: Durable
    check_open: Callable[[], None]
    streams: Streams
    watch: Watch
    task_id: str


class OutputReader(Generic[Due]):
    """Reads at its own pace. Of a stream that it reads it holds no more than a portion."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._stream: Stream | None = None

    async def receive(self) -> Due:
        """What is due, at most about a portion, as soon as there is any."""
        if self._stream is None:
            await trio.lowlevel.checkpoint()
        while True:
            if self._stream is not None:
                if (due := await self._live(self._stream)) is not None:
                    return due
                self._stream = None
            rest = await self._rest()
            if rest is not None:
                return rest
            self._stream = self._output.streams.get(self._output.task_id)
            if self._stream is None and not await self._output.watch.changed():
                return self._closed()

    async def _live(self, stream: Stream) -> Due | None:
        """What a running attempt has said since; None when it is over and all was read. A
        checkpoint in any case.
        """
        raise NotImplementedError

    async def _rest(self) -> Due | None:
        """What is left to say of a task that has ended; None while it has not."""
        raise NotImplementedError

    def _closed(self) -> Due:
        """What is said, or raised, when the queue closes before the task has ended."""
        raise NotImplementedError

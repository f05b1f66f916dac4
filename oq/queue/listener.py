"""Following a call on behalf of its caller, who gets the backend's bytes and never gets them back:
once a byte of an attempt has been passed on, that attempt is the last.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

import trio
from msgspec import Struct

from oq.actors.hub import Watch
from oq.actors.streams import Stream, Streams
from oq.rules.pieces import StreamLog
from oq.words.errors import Unavailable
from oq.words.outcome import Refusal
from oq.words.task import TaskState

T = TypeVar("T")

_BROKEN_OFF = "oq was shut down in the middle of this answer"


class Read(Protocol):
    """Looks at the store when it shows nothing that a power cut could take back."""

    async def __call__(self, task_id: str, look: Callable[[], T], /) -> T: ...


class Ended(Struct, frozen=True):
    """A task that has ended, with all that its backend said."""

    state: TaskState
    log: StreamLog
    result: bytes | None
    refusal: Refusal | None


class Listener:
    """One caller's way through the answer."""

    def __init__(
        self,
        task_id: str,
        look: Callable[[], Awaitable[Ended | None]],
        streams: Streams,
        watch: Watch,
    ) -> None:
        self._task_id = task_id
        self._look = look
        self._streams = streams
        self._watch = watch
        self._stream: Stream | None = None
        self._offset = 0

    async def receive(self) -> list[bytes] | Ended:
        """The bytes that are due, at least a chunk, to be passed on; at last how the task ended.

        Unavailable when the queue closes before that, NotFound.
        """
        await trio.lowlevel.checkpoint()
        while True:
            if self._stream is not None:
                frames = await self._live(self._stream)
                if frames:
                    return frames
                self._stream = None
            ended = await self._look()
            if ended is not None:
                return ended.log.frames[self._skip(ended.log) :] or ended
            self._stream = self._streams.get(self._task_id)
            if self._stream is None and not await self._watch.changed():
                raise Unavailable(_BROKEN_OFF)

    async def ended(self) -> Ended:
        """How the task ends, for a caller that gets the answer whole. Unavailable, NotFound."""
        while (ended := await self._look()) is None:
            if not await self._watch.changed():
                raise Unavailable(_BROKEN_OFF)
        return ended

    async def _live(self, stream: Stream) -> list[bytes]:
        """What a running attempt has said since; nothing when it is over."""
        await stream.wait_news(self._offset)
        if stream.void:
            if self._offset:
                raise Unavailable(_BROKEN_OFF)
            return []
        frames = stream.log.frames[self._offset :]
        if frames:
            stream.told = True
            self._offset += len(frames)
        return frames

    def _skip(self, log: StreamLog) -> int:
        """How much of a stored log has been passed on; after this call, all of it."""
        before, self._offset = self._offset, max(self._offset, len(log.frames))
        return before

"""Sends a response that is made in the background as a stream, as it is made: its events from the
first on, or from where a reader left off.
"""

from __future__ import annotations

import trio

from oq.dialects.kept_events import KeptEvents
from oq.http.context import CLOSING, Context
from oq.http.gateway.response import TYPE, GatewayResponse
from oq.http.peer import RawHeaders
from oq.http.streaming import EVENT_STREAM, SSE_COMMENT, SSE_KEEPALIVE
from oq.queue import FrameReader, Queue
from oq.words.errors import NotFound, Unavailable

_BEGAN_ANEW = "the response was begun anew; take it up behind this number, and all of it comes"
_DELETED = "the response was deleted"


class ResponseStream:
    """The answer to one who reads along."""

    def __init__(self, context: Context, queue: Queue, out: GatewayResponse) -> None:
        self._context = context
        self._queue = queue
        self._out = out

    async def send(self, events: KeptEvents, task_id: str, headers: RawHeaders) -> None:
        """Send all events, to the end of the task that makes the response."""
        await self._out.begin(200, [(TYPE, EVENT_STREAM.encode()), *headers], frames=True)
        scope = trio.CancelScope()
        try:
            with (
                self._context.until_close(scope.cancel),
                scope,
                self._queue.calls.read_frames(task_id) as reader,
            ):
                await _Feed(events, reader, self._out).run()
                ended = await self._queue.calls.response_of(task_id)
                if ended is not None:
                    await _send(self._out, events.end(ended, generated=reader.generated))
            if scope.cancelled_caught:
                await self._out.piece(events.broken(CLOSING))
        except NotFound:
            await self._out.piece(events.broken(_DELETED))
        except Unavailable as error:
            await self._out.piece(events.broken(str(error)))
        await self._out.end()


class _Feed:
    """Sends what is said to one reader, as it is said."""

    def __init__(self, events: KeptEvents, reader: FrameReader, out: GatewayResponse) -> None:
        self._events = events
        self._reader = reader
        self._out = out
        self._shown = False
        """Whether the reader has an event of the present attempt."""

    async def run(self) -> None:
        """Until the task has ended. Unavailable if the reader has to come back."""
        await _send(self._out, self._events.opening())
        attempt: int | None = None
        while frames := await self._due():
            reader = self._reader
            if reader.attempt is not None and reader.attempt != attempt:
                if self._shown:
                    raise Unavailable(_BEGAN_ANEW)
                attempt = reader.attempt
                self._events.begin(attempt, first=reader.first)
            said = b"".join(map(self._events.frame, frames))
            self._shown = self._shown or bool(said)
            await _send(self._out, said)

    async def _due(self) -> list[bytes]:
        while True:
            with trio.move_on_after(SSE_KEEPALIVE):
                return await self._reader.receive()
            await self._out.piece(SSE_COMMENT)


async def _send(out: GatewayResponse, said: bytes) -> None:
    if said:
        await out.piece(said)

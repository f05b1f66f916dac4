"""Sends streaming responses: each piece as it comes, for as long as the client listens.

Each piece would pass through Quart, Hypercorn and h11, which make the same frame around it every
time: a quarter of what sending a few bytes costs. Where the connection is oq's own and speaks
HTTP/1.1 it is sent past them; see `oq.http.connection`. That is for answers without a length, which
are most; one that has a length is left to those layers.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

from quart.wrappers.response import ResponseBody
from quart_trio.wrappers import TrioResponse as Response

from oq.http.request import Request

if TYPE_CHECKING:
    from oq.http.connection import Connection

EVENT_STREAM = "text/event-stream"
SSE_RETRY = b"retry: 2000\n"
"""Milliseconds after which a browser that lost the stream tries again."""
SSE_KEEPALIVE = 15.0
"""Seconds after which a comment is sent when nothing happens: a peer that is gone is noticed when
something is sent to it, and proxies cut connections on which nothing moves."""
SSE_COMMENT = b": nothing happened\n\n"


class PieceSource(Protocol):
    """The source of a streamed body."""

    async def next(self) -> bytes:
        """The next piece, when there is one; nothing at the end."""


def streaming_response(
    request: Request,
    feed: AbstractContextManager[PieceSource],
    content_type: str,
    *,
    length: int | None = None,
) -> Response:
    """An answer whose body is what `feed` gives; `length` is its bytes in all, if that is known.

    The feed is entered when the answer begins, and not before, because an answer that is never
    begun is never closed either; it is left when the answer ends or the client has gone.
    """
    headers = {"X-Accel-Buffering": "no"}  # nginx would keep pieces back until it has a few kB
    if request.method == "HEAD":
        response = Response(b"", headers=headers, content_type=content_type)
    else:
        connection = request.connection if length is None else None
        response = Response(_Body(connection, feed), headers=headers, content_type=content_type)
    if length is not None:
        response.headers["Content-Length"] = str(length)
    response.timeout = None  # Quart would end it after a minute
    return response


def sse_event(data: bytes, event_id: bytes | None) -> bytes:
    """A server-sent event. JSON has no line breaks of its own: one data line is always enough."""
    head = b"" if event_id is None else b"id: " + event_id + b"\n"
    return head + b"data: " + data + b"\n\n"


class _Body(ResponseBody):
    """Sends what it can by itself, and gives Quart the rest to send."""

    def __init__(
        self, connection: Connection | None, feed: AbstractContextManager[PieceSource]
    ) -> None:
        self._feed = feed
        self._connection = connection

    async def __aenter__(self) -> _Body:
        self._pieces = self._feed.__enter__()
        return self

    async def __aexit__(self, *problem: object) -> None:
        self._feed.__exit__(None, None, None)

    def __aiter__(self) -> _Body:
        return self

    async def __anext__(self) -> bytes:
        piece = await self._pieces.next()
        while piece and self._connection is not None:
            await self._connection.send_chunk(piece)
            piece = await self._pieces.next()
        if not piece:
            raise StopAsyncIteration
        return piece

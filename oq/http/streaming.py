"""Responses that are sent piece by piece, each as it comes, for as long as the client listens."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from quart.wrappers.response import ResponseBody
from quart_trio.wrappers import TrioResponse as Response

from oq.http.peer import Peer
from oq.http.request import Request
from oq.http.responses import as_sent

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


class StreamedResponse(NamedTuple):
    """A response whose body is what `feed` gives; `length` is its bytes in all, if that is known.
    Both the fast path and Quart can send it.

    The feed is entered when the response begins, and not before, because a response that is never
    begun is never closed either; it is left when the response ends or the client has gone.
    """

    feed: AbstractContextManager[PieceSource]
    content_type: str
    status: int = 200
    headers: Mapping[str, str] = {}
    length: int | None = None

    async def send(self, peer: Peer) -> None:
        """Send it, to its end."""
        headers = as_sent(self._headers(), self.content_type)
        if self.length is not None:
            headers.append((b"content-length", b"%d" % self.length))
        with self.feed as pieces:
            await peer.begin(self.status, headers, more=True)
            while piece := await pieces.next():
                await peer.piece(piece)
        await peer.end()

    def to_quart(self, request: Request) -> Response:
        """The same response, for Quart."""
        body = b"" if request.method == "HEAD" else _Body(self.feed)
        response = Response(body, self.status, self._headers(), None, self.content_type)
        # Quart would say that of the empty body of an answer to HEAD: RFC 9110, 8.6.
        response.headers.pop("Content-Length", None)
        if self.length is not None:
            response.headers["Content-Length"] = str(self.length)
        response.timeout = None  # Quart would end it after a minute
        return response

    def _headers(self) -> dict[str, str]:
        # nginx would keep pieces back until it has a few kB
        return {"X-Accel-Buffering": "no", **self.headers}


def sse_event(data: bytes, event_id: bytes | None) -> bytes:
    """A server-sent event. JSON has no line breaks of its own: one data line is always enough."""
    head = b"" if event_id is None else b"id: " + event_id + b"\n"
    return head + b"data: " + data + b"\n\n"


class _Body(ResponseBody):
    """The pieces, for Quart."""

    def __init__(self, feed: AbstractContextManager[PieceSource]) -> None:
        self._feed = feed

    async def __aenter__(self) -> _Body:
        self._pieces = self._feed.__enter__()
        return self

    async def __aexit__(self, *problem: object) -> None:
        self._feed.__exit__(None, None, None)

    def __aiter__(self) -> _Body:
        return self

    async def __anext__(self) -> bytes:
        if piece := await self._pieces.next():
            return piece
        raise StopAsyncIteration

"""Bodies as httpx has them: that of a request, and that of an answer as far as it is wanted."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import trio

from oq.backends.encoding import decoder
from oq.words.errors import BackendFailure

MAX_ERROR_BODY = 1024 * 1024
"""Bytes of an error that are read."""


class Whole(httpx.AsyncByteStream):
    """The body of a request, in one piece. httpx's own is an async generator, which a write that
    fails would leave in its middle for the garbage collector.
    """

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._sent = False

    def __aiter__(self) -> Whole:
        self._sent = False
        return self

    async def __anext__(self) -> bytes:
        if self._sent:
            raise StopAsyncIteration
        self._sent = True
        return self._body


async def in_one_piece(request: httpx.Request) -> None:
    """Give the request its body as `Whole`, unless it comes in parts."""
    if isinstance(request.stream, httpx.ByteStream):
        request.stream = Whole(request.content)


async def head(response: httpx.Response, most: int = MAX_ERROR_BODY) -> bytes:
    """The first `most` bytes of a body, as they were sent."""
    head = b""
    chunks = response.aiter_raw()
    async for data in chunks:
        head += data
        if len(head) >= most:
            await unwind(chunks)
    return head[:most]


def plain(response: httpx.Response, body: bytes, most: int) -> bytes:
    """The first `most` bytes of the text of an error's body, as far as it can be read."""
    text = b""
    try:
        for piece in decoder(response.headers.get("content-encoding", ""))(body):
            text += piece
            if len(text) >= most:
                break
    except BackendFailure:
        return body
    return text[:most]


async def unwind(chunks: AsyncIterator[bytes]) -> None:
    """Leave a body in the middle.

    httpx stacks five async generators. Dropping the outermost would leave the others to the
    garbage collector; a cancellation that rises from the socket ends each of them, in order, and
    closes the connection.
    """
    with trio.CancelScope() as scope:
        scope.cancel()
        async for _ in chunks:
            pass

"""The body of an answer of httpx, as far as it is wanted."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import trio

from oq.backends.encoding import decoder
from oq.words.errors import BackendFailure

MAX_ERROR_BODY = 64 * 1024
"""Bytes of an error that are read."""


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

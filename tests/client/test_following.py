"""Following over a way that is not as oq left it: what compresses, never begins, or cuts what is
idle.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import anyio.lowlevel
import httpx
import pytest

import oq
from tests.support.http import UNKNOWN

URL = "http://127.0.0.1:7125"
HELLO = b'data: {"type":"hello","seq":0}\n\n'
COMMENT = b": nothing happened\n\n"
LAGGED = b'data: {"type":"lagged","missed":3}\n\n'
DONE = b'{"data":"","offset":1,"attempt":1,"done":true,"status":"completed"}\n'


class Body(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body that comes in pieces."""

    def __init__(self, pieces: Callable[[], Iterator[bytes]]) -> None:
        self._pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        yield from self._pieces()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces():
            await anyio.lowlevel.checkpoint()
            yield piece


def answering(pieces: Callable[[], Iterator[bytes]], **headers: str) -> httpx.MockTransport:
    """A server that answers so to whom asks for bytes as they are."""

    def answer(request: httpx.Request) -> httpx.Response:
        assert request.headers["accept-encoding"] == "identity"
        return httpx.Response(200, headers=headers, stream=Body(pieces))

    return httpx.MockTransport(answer)


def packed(*parts: bytes) -> Iterator[bytes]:
    """What a proxy makes of them: each can be read as soon as it comes."""
    packer = zlib.compressobj(wbits=31)
    for part in parts:
        yield packer.compress(part) + packer.flush(zlib.Z_SYNC_FLUSH)
    yield packer.flush()


def comments() -> Iterator[bytes]:
    while True:
        yield COMMENT


def for_blocking(transport: httpx.MockTransport, follow: str, **more: Any) -> Any:
    with oq.Client(URL, transport=transport, **more) as queue:
        if follow == "stream":
            with queue.stream(UNKNOWN) as items:
                return next(items)
        with queue.subscribe() as items:
            return next(items)


@pytest.mark.parametrize("encoding", ["", "gzip"])
@pytest.mark.parametrize(("follow", "parts"), [("stream", [DONE]), ("subscribe", [HELLO, LAGGED])])
def test_nobody_asks_for_compressed_bytes_and_what_comes_so_is_read(run, follow, parts, encoding):
    transport = answering(
        (lambda: packed(*parts)) if encoding else (lambda: iter(parts)),
        **({"content-encoding": encoding} if encoding else {}),
    )

    async def check() -> Any:
        async with oq.AsyncClient(URL, transport=transport) as queue:
            if follow == "stream":
                async with queue.stream(UNKNOWN) as items:
                    return await anext(items)
            async with queue.subscribe() as items:
                return await anext(items)

    for item in (run(check), for_blocking(transport, follow)):
        assert item == oq.Lagged(3) or item.done


def test_events_that_never_begin_are_not_waited_for_without_end(run):
    transport = answering(comments)

    async def check() -> None:
        async with oq.AsyncClient(URL, timeout=0.05, transport=transport) as queue:
            with pytest.raises(oq.Unavailable, match="no events within 50ms"):
                async with queue.subscribe():
                    pass

    run(check)
    with pytest.raises(oq.Unavailable, match="no events within 50ms"):
        for_blocking(transport, "subscribe", timeout=0.05)

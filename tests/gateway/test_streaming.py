"""How the chunks of a stream reach their caller: at once, together where they came together, and
all of them, however slowly it reads.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import trio

from oq.backends.http1 import connection
from tests.support.told import FAST, ORDINARY, Site, site

BODY = b'{"model":"m","messages":[]}'
HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n"
)
ABSENT = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"
LAST = b'{"done":true}\n'


def line(text: bytes) -> bytes:
    return b'{"message":{"role":"assistant","content":"%b"},"done":false}\n' % text


class Caller:
    """Reads the response to one call, chunk by chunk of HTTP."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._data = b""

    async def head(self) -> None:
        await self._until(rb"\r\n\r\n")

    async def chunk(self) -> bytes:
        size = int(await self._until(rb"[0-9a-f]+\r\n"), 16)
        while len(self._data) < size + 2:
            await self._more()
        chunk, self._data = self._data[:size], self._data[size + 2 :]
        return chunk

    async def rest(self) -> bytes:
        said = b""
        while chunk := await self.chunk():
            said += chunk
        return said

    async def _until(self, end: bytes) -> bytes:
        while not (found := re.search(end, self._data)):
            await self._more()
        before, self._data = self._data[: found.end()], self._data[found.end() :]
        return before

    async def _more(self) -> None:
        more = await self._stream.receive_some()
        assert more
        self._data += more


@asynccontextmanager
async def streaming(
    odd: str, **sections: Any
) -> AsyncIterator[tuple[Site, trio.MemorySendChannel[bytes]]]:
    """oq before a backend that says what is sent on the channel, each in one write."""
    say, said = trio.open_memory_channel[bytes](1000)

    async def serve(stream: trio.SocketStream) -> None:
        async with stream, said:
            with suppress(trio.BrokenResourceError):
                await answer(stream)

    async def answer(stream: trio.SocketStream) -> None:
        while head := await stream.receive_some():
            if not head.startswith(b"POST /api/chat"):
                await stream.send_all(ABSENT)
                continue
            await stream.send_all(HEAD)
            async for data in said:
                await stream.send_all(b"%x\r\n%b\r\n" % (len(data), data))
            await stream.send_all(b"0\r\n\r\n")

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(
            trio.serve_listeners, serve, await trio.open_tcp_listeners(0, host="127.0.0.1")
        )
        where = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        with trio.fail_after(60):
            async with site(odd, where, "ollama", **sections) as here:
                yield here, say
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def calling(here: Site, *fields: str) -> AsyncIterator[Caller]:
    async with await here.connect() as stream:
        await stream.send_all(here.request("POST", "/api/chat", BODY, *fields))
        yield Caller(stream)


@pytest.mark.parametrize("has_epoll", [True, False])
async def test_each_is_there_when_it_comes_and_what_comes_together_is_one_piece(
    has_epoll: bool, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(connection, "HAS_EPOLL", has_epoll)
    async with streaming(FAST) as (here, say), calling(here) as caller:
        await say.send(line(b"one"))
        await caller.head()
        assert await caller.chunk() == line(b"one")
        for said in (line(b"two"), line(b"three") + line(b"four") + line(b"five"), line(b"six")):
            await say.send(said)
            assert await caller.chunk() == said
        await say.send(line(b"seven") + line(b"ei")[:-4])
        assert await caller.chunk() == line(b"seven")
        await say.send(line(b"ei")[-4:] + LAST)
        say.close()
        assert await caller.rest() == line(b"ei") + LAST


@pytest.mark.parametrize("odd", [FAST, ORDINARY])
async def test_who_reads_slowly_gets_every_byte_and_delays_nobody(odd: str):
    lines = [line(b"%d " % number * 8192) for number in range(400)]
    key = "Idempotency-Key: k"  # they share one answer
    async with (
        streaming(odd) as (here, say),
        calling(here, key) as slow,
        calling(here, key) as quick,
    ):
        await say.send(line(b"first"))
        for caller in (slow, quick):
            await caller.head()
            assert await caller.chunk() == line(b"first")
        for each in (*lines, LAST):
            await say.send(each)
        say.close()
        whole = b"".join([*lines, LAST])
        assert await quick.rest() == whole  # and the other one's socket is full by then
        assert await slow.rest() == whole


async def test_who_hangs_up_in_the_middle_stops_the_model():
    async with streaming(FAST) as (here, say):
        async with calling(here) as caller:
            await say.send(line(b"first"))
            await caller.head()
            assert await caller.chunk() == line(b"first")
        with suppress(trio.BrokenResourceError):
            while True:  # until the backend has lost its connection
                await say.send(line(b"more"))

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
from oq.client.follow import StreamFollower
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


def cut_often(times: int) -> httpx.MockTransport:
    """A way on which a stream is cut so often before a chunk comes."""
    bodies = iter([b""] * times + [DONE])
    return answering(lambda: iter([next(bodies)]))


def test_a_stream_that_is_cut_while_its_task_waits_is_asked_for_again(run):
    async def check() -> Any:
        async with (
            oq.AsyncClient(URL, patience=0.001, transport=cut_often(3)) as queue,
            queue.stream(UNKNOWN) as items,
        ):
            return await anext(items)

    assert run(check).done
    assert for_blocking(cut_often(3), "stream", patience=0.001).done


def test_what_is_nested_too_deeply_is_nothing_that_oq_says():
    nested = b'{"type":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    follows = {"stream": nested + b"\n", "subscribe": b"data: " + nested + b"\n\n"}
    for follow, said in follows.items():
        with pytest.raises(oq.ServerNotReached, match="an answer that is not oq's"):
            for_blocking(answering(lambda said=said: iter([said])), follow)


CUT = httpx.RemoteProtocolError("cut")


def follower() -> StreamFollower:
    return StreamFollower(URL, 10, UNKNOWN, 0, None)


def test_patience_starts_anew_with_each_answer():
    stream = follower()
    for number in range(1000):
        stream.connected(60.0 * number)
        assert stream.lost(CUT, 60.0 * number + 59) <= 0.05


def test_a_server_that_cuts_at_once_is_not_asked_in_a_tight_loop():
    stream = follower()
    now, pauses = 0.0, []
    for _ in range(20):
        stream.connected(now)
        pauses.append(stream.lost(None, now))
        now += pauses[-1]
    assert min(pauses[8:]) >= 1
    stream.connected(now)
    stream.feed(b'{"data":"a","offset":1,"attempt":1,"done":false}\n')
    assert stream.lost(CUT, now) <= 0.05


def test_patience_ends_with_a_server_that_answers_no_more():
    stream = follower()
    stream.connected(0)
    stream.lost(CUT, 5)
    stream.lost(CUT, 14.9)
    with pytest.raises(oq.Unavailable):
        stream.lost(CUT, 15)

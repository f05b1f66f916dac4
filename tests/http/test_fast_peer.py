"""The peer of the fast path: no header and no body can be read as another response."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import h11
import pytest
import trio
from hypercorn.config import Config as HyperConfig

from oq.http import fast_peer
from oq.http.client_stream import ClientStream
from oq.http.fast_peer import TOGETHER, FastPeer, ServerHeaders
from oq.http.fast_request import read_head
from oq.http.peer import ClientGone
from oq.http.unsent import Unsent

ASKED = b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\n"


class Ends:
    """A peer, and what its client has been sent."""

    def __init__(
        self, peer: FastPeer, client: trio.SocketStream, server: trio.SocketStream
    ) -> None:
        self.peer = peer
        self.client = client
        self._server = server

    async def sent(self) -> bytes:
        await self._server.aclose()
        return b"".join([data async for data in self.client])


@asynccontextmanager
async def ends(asked: bytes = ASKED + b"body") -> AsyncIterator[Ends]:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listeners[0] as listener, trio.open_nursery() as nursery:
        client = await trio.open_tcp_stream(*listener.socket.getsockname())
        server = await listener.accept()
        head = read_head(asked, 100)
        assert head is not None
        config = HyperConfig()
        config.include_server_header = False
        peer = FastPeer(
            ClientStream(server, lambda task: nursery.start_soon(task), Unsent(1 << 20)),
            head,
            asked,
            origin=None,
            server=ServerHeaders(config),
            count=lambda: False,
        )
        async with client, server:
            yield Ends(peer, client, server)
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ([(b"x", b"a\r\nset-cookie: b")], b""),
        ([(b"x", b"a\nb")], b""),
        ([(b"x", b"a\rb")], b""),
        ([(b"x", b"a\0b")], b""),
        ([(b"x: y\r\nz", b"a")], b""),
        ([(b"x y", b"a")], b""),
        ([(b"x:", b"a")], b""),
        ([(b"", b"a")], b""),
        ([(b"x%b\ny", b"a")], b""),
        ([(b"x", b"a")], b"OK\r\nx: y"),
        ([(b"content-length", b"1"), (b"Content-Length", b"2")], b""),
        ([(b"content-length", b"1, 1")], b""),
        ([(b"content-length", b"-1")], b""),
        ([(b"content-length", b"")], b""),
        ([(b"transfer-encoding", b"chunked")], b""),
    ],
)
async def test_what_is_no_header_is_not_sent(headers: list[tuple[bytes, bytes]], reason: bytes):
    async with ends() as both:
        with pytest.raises(ValueError, match="head"):
            await both.peer.begin(200, headers, reason=reason, body=b"x", more=True)
        assert not both.peer.begun
        assert await both.sent() == b""


async def test_a_response_without_a_length_is_read_as_it_was_sent():
    pieces = [b"a", b"\r\n0\r\n\r\n", b"", b"x" * (TOGETHER + 1)]
    async with ends() as both:
        assert await both.peer.part() == b"body"
        await both.peer.begin(200, [(b"x-a", b"\xe4 b")], reason=b"Fine", body=pieces[0], more=True)
        for piece in pieces[1:]:
            await both.peer.piece(piece)
        assert not both.peer.whole
        await both.peer.end()
        assert both.peer.whole
        client = h11.Connection(h11.CLIENT)
        client.send(h11.Request(method="POST", target="/", headers=[("Host", "a")]))
        client.send(h11.EndOfMessage())
        client.receive_data(await both.sent())
        response = client.next_event()
        assert isinstance(response, h11.Response)
        assert (response.status_code, response.reason) == (200, b"Fine")
        assert (b"x-a", b"\xe4 b") in list(response.headers)
        body = b""
        while isinstance(event := client.next_event(), h11.Data):
            body += bytes(event.data)
        assert isinstance(event, h11.EndOfMessage)
        assert body == b"".join(pieces)
        assert client.trailing_data[0] == b""


async def test_pieces_that_are_sent_without_waiting_are_chunks_in_their_order():
    async with ends() as both:
        await both.peer.begin(200, [], body=b"1", more=True)
        while both.peer.piece_nowait(b"x" * TOGETHER):
            pass
        assert not both.peer.piece_nowait(b"3")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(both.peer.piece, b"")
            data = b""
            while not data.endswith(b"\r\n1\r\n3\r\n"):
                data += await both.client.receive_some()
        chunks = data.partition(b"\r\n\r\n")[2].removeprefix(b"1\r\n1\r\n")
        long = b"%x\r\n%b\r\n" % (TOGETHER, b"x" * TOGETHER)
        assert chunks.replace(long, b"") == b"1\r\n3\r\n"
        await both.peer.end()
        assert both.peer.whole
        assert await both.sent() == b"0\r\n\r\n"


@pytest.mark.parametrize("size", [0, 1, TOGETHER, TOGETHER + 1])
async def test_a_whole_one_without_a_length(size: int):
    async with ends() as both:
        await both.peer.begin(200, [], body=b"x" * size, more=False)
        assert both.peer.whole
        chunk = b"%x\r\n%b\r\n" % (size, b"x" * size) if size else b""
        assert (await both.sent()).endswith(b"chunked\r\n\r\n" + chunk + b"0\r\n\r\n")


@pytest.mark.parametrize("size", [0, 1, TOGETHER, TOGETHER + 1])
async def test_one_with_a_length(size: int):
    async with ends() as both:
        length = [(b"content-length", b"%d" % size)]
        await both.peer.begin(200, length, body=b"x" * size, more=False)
        assert both.peer.whole
        assert (await both.sent()).endswith(b"\r\n\r\n" + b"x" * size)


async def test_one_that_is_shorter_than_its_length_ends_the_connection():
    async with ends() as both:
        await both.peer.begin(200, [(b"content-length", b"9")], body=b"12345678", more=True)
        await both.peer.end()
        assert not both.peer.whole


async def test_one_cannot_be_longer_than_its_length():
    async with ends() as both:
        await both.peer.begin(200, [(b"content-length", b"4")], body=b"123", more=True)
        with pytest.raises(ValueError, match="longer"):
            await both.peer.piece(b"45")
        assert not both.peer.whole
        assert (await both.sent()).endswith(b"\r\n\r\n123")


@pytest.mark.parametrize("status", [204, 304])
async def test_one_that_has_no_body(status: int):
    async with ends() as both:
        await both.peer.begin(status, [], body=b"x", more=True)
        await both.peer.piece(b"y")
        await both.peer.end()
        assert both.peer.whole
        assert (await both.sent()).lower().endswith(b"gmt\r\n\r\n")


def test_what_is_remembered_of_heads_is_bounded_however_long_they_are():
    fast_peer._read_names.cache_clear()
    fast_peer._made_status_line.cache_clear()
    for number in range(1000):
        name = b"x-%d-%b" % (number, b"n" * 10_000)
        assert b": v\r\n" in fast_peer._checked_lines(
            [(name, b"v")], fast_peer._names_of([(name, b"v")])
        )
        assert b"HTTP/1.1 200 " in fast_peer._status_line(200, name)
    assert fast_peer._read_names.cache_info().currsize == 0
    assert fast_peer._made_status_line.cache_info().currsize == 0


async def test_a_request_whose_body_has_not_come_ends_the_connection():
    async with ends(ASKED + b"bo") as both:
        await both.peer.begin(200, [(b"content-length", b"0")], more=False)
        assert not both.peer.whole


async def test_a_body_is_read_to_its_end_and_no_further():
    async with ends(ASKED + b"bo") as both:
        await both.client.send_all(b"dyGET / HTTP/1.1")
        assert [await both.peer.part() for _ in range(3)] == [b"bo", b"dy", None]


async def test_a_client_that_leaves_within_a_body():
    async with ends(ASKED + b"bo") as both:
        await both.client.send_eof()
        assert await both.peer.part() == b"bo"
        with pytest.raises(ClientGone):
            await both.peer.part()


async def test_no_content_has_no_length():
    async with ends() as both:
        await both.peer.begin(204, [(b"Content-Length", b"0"), (b"x-a", b"b")], more=False)
        assert both.peer.whole
        sent = await both.sent()
    assert b"x-a: b\r\n" in sent
    assert b"content-length" not in sent.lower()
    assert b"transfer-encoding" not in sent.lower()

"""Requests over real sockets, to servers that do as they like."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest
import trio

from oq.backends.connections import open_client
from oq.backends.http1.client import Client
from oq.backends.http1.connection import Origin
from oq.backends.http1.errors import Lost, Unreachable
from oq.backends.http1.exchange import BEFORE_LISTENING, Answer
from oq.backends.http1.request import NOT_KEPT, Target

LARGE = b"x" * 40_000_000
"""More than any two sockets hold."""
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Site:
    """A client, and a server that treats each connection as `serve` does."""

    def __init__(self, port: int) -> None:
        self.client = open_client(None, 5)
        self.target = Target(Origin(False, "127.0.0.1", port, b"127.0.0.1:%d" % port), b"/x")
        self.connections = 0

    async def ask(self, body=b"", *fields, method=b"POST", target=None, client=None) -> bytes:
        """The whole answer."""
        got = bytearray()

        async def use(answer: Answer) -> None:
            while data := await answer.receive():
                got.extend(data)

        where = target or self.target
        with trio.fail_after(30):
            await (client or self.client).send(method, where, fields, body, use)
        return bytes(got)


@asynccontextmanager
async def site(serve: Callable[[trio.SocketStream], Awaitable[None]]) -> AsyncIterator[Site]:
    async def count(stream: trio.SocketStream) -> None:
        here.connections += 1
        async with stream:
            with suppress(trio.BrokenResourceError):  # who has had enough resets the connection
                await serve(stream)

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        here = Site(listeners[0].socket.getsockname()[1])
        nursery.start_soon(trio.serve_listeners, count, listeners)
        yield here
        here.client.close()
        nursery.cancel_scope.cancel()


class Requests:
    """Those that come over a connection: head and body of each, if it says how long that is."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._data = b""

    def __aiter__(self):
        return self

    async def __anext__(self) -> tuple[bytes, bytes]:
        while b"\r\n\r\n" not in self._data:
            await self._more()
        head, _, self._data = self._data.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0] or 0)
        while len(self._data) < length:
            await self._more()
        body, self._data = self._data[:length], self._data[length:]
        return head, body

    async def _more(self) -> None:
        more = await self._stream.receive_some(1 << 20)
        if not more:
            raise StopAsyncIteration
        self._data += more


async def echo(stream: trio.SocketStream) -> None:
    async for _, body in Requests(stream):
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


class Parts:
    """A body in parts; what is no bytes is raised."""

    def __init__(self, *parts: bytes | Exception) -> None:
        self._parts = list(parts)
        self.taken = 0

    def __aiter__(self):
        return self

    async def __anext__(self) -> bytes:
        await trio.lowlevel.checkpoint()
        if not self._parts:
            raise StopAsyncIteration
        self.taken += 1
        part = self._parts.pop(0)
        if isinstance(part, Exception):
            raise part
        return part


@pytest.mark.parametrize(
    "size", [0, 1, 16_000, 17_000, BEFORE_LISTENING, BEFORE_LISTENING + 1, 3_000_000]
)
async def test_bodies_of_all_sizes_over_one_connection(size):
    async with site(echo) as here:
        for _ in range(3):
            assert await here.ask(b"y" * size) == b"y" * size
        assert here.connections == 1


async def test_many_at_once_and_then_again_over_the_same_connections():
    async with site(echo) as here:
        for _ in range(3):
            async with trio.open_nursery() as nursery:
                for number in range(32):
                    nursery.start_soon(here.ask, b"%d" % number)
        assert here.connections <= 32


@pytest.mark.parametrize("parts", [[b"ab", b"", b"c"], [b""], [], [b"z" * 200_000, b"z"]])
async def test_a_body_in_parts_goes_in_chunks(parts):
    got = bytearray()

    async def serve(stream: trio.SocketStream) -> None:
        while not got.endswith(b"0\r\n\r\n"):
            got.extend(await stream.receive_some(65536))
        await stream.send_all(OK)

    async with site(serve) as here:
        assert await here.ask(Parts(*parts)) == b"ok"
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts if part)
    assert got.partition(b"\r\n\r\n")[2] == chunks + b"0\r\n\r\n"


async def test_or_as_long_as_its_caller_says():
    async with site(echo) as here:
        assert await here.ask(Parts(b"ab", b"c"), (b"Content-Length", b"3")) == b"abc"


@pytest.mark.parametrize("parts", [[b"ab"], [b"ab", b"cd"]])
async def test_which_has_to_be_true(parts):
    async with site(echo) as here:
        with pytest.raises(Lost, match="not as long"):
            await here.ask(Parts(*parts), (b"Content-Length", b"3"))


async def test_what_a_body_in_parts_raises_is_raised():
    async with site(echo) as here:
        with pytest.raises(KeyError, match="gone"):
            await here.ask(Parts(b"ab", KeyError("gone")), (b"Content-Length", b"3"))


async def too_much(stream: trio.SocketStream) -> None:
    """Answers before the body has come, reads no more of it, and leaves the connection open."""
    await stream.receive_some(1000)
    await stream.send_all(b"HTTP/1.1 413 Too Much\r\nContent-Length: 3\r\n\r\nbig")
    await trio.sleep_forever()


@pytest.mark.parametrize("body", [LARGE, Parts(*[b"x" * 1_000_000] * 40)], ids=["whole", "parts"])
async def test_an_answer_that_comes_before_the_body_is_sent_is_the_answer(body):
    async with site(too_much) as here:
        assert await here.ask(body) == b"big"
        assert await here.ask(b"", target=here.target) == b"big"
        assert here.connections == 2, "half a request is on the first"


async def test_an_answer_may_go_on_while_the_body_is_sent():
    async def both(stream: trio.SocketStream) -> None:
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(LARGE))
        left = len(LARGE)
        while left:
            data = await stream.receive_some(min(left, 1 << 20))
            if b"\r\n\r\n" in data:
                data = data.partition(b"\r\n\r\n")[2]
            await stream.send_all(b"x" * len(data))
            left -= len(data)

    async with site(both) as here:
        assert len(await here.ask(LARGE)) == len(LARGE)


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        OK + b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged",
        OK + b"x",
    ],
)
async def test_a_connection_that_is_at_its_end_is_not_used_again(said):
    async def serve(stream: trio.SocketStream) -> None:
        async for _ in Requests(stream):
            await stream.send_all(said)

    async with site(serve) as here:
        assert [await here.ask(), await here.ask()] == [b"ok", b"ok"]
        assert here.connections == 2


async def test_nor_is_one_that_the_request_was_to_close():
    async with site(echo) as here:
        for _ in range(2):
            await here.ask(b"a", NOT_KEPT)
        assert here.connections == 2


async def test_nor_one_whose_answer_nobody_read_to_its_end():
    async def unread(answer: Answer) -> None:
        assert answer.status == 200

    async with site(echo) as here:
        for _ in range(2):
            await here.client.send(b"POST", here.target, (), b"a" * 100_000, unread)
        assert here.connections == 2


async def test_an_error_in_who_reads_it_closes_the_connection():
    async def stumble(answer: Answer) -> None:
        raise KeyError("reader")

    closed = trio.Event()

    async def serve(stream: trio.SocketStream) -> None:
        await stream.receive_some(1000)
        await stream.send_all(b"HTTP/1.1 200 OK\r\n\r\n...")
        assert await stream.receive_some(1000) == b""
        closed.set()

    async with site(serve) as here:
        with pytest.raises(KeyError, match="reader"):
            await here.client.send(b"GET", here.target, (), b"", stumble)
        with trio.fail_after(10):
            await closed.wait()


@pytest.mark.parametrize("body", [b"", LARGE], ids=["none", "large"])
async def test_so_does_a_cancel_at_once(body):
    closed = trio.Event()

    async def serve(stream: trio.SocketStream) -> None:
        await stream.receive_some(1000)
        reached.cancel()
        try:
            while await stream.receive_some(1 << 20):
                pass
        except trio.BrokenResourceError:
            pass
        closed.set()

    async with site(serve) as here:
        with trio.CancelScope() as reached:
            await here.ask(body)
        assert reached.cancelled_caught
        with trio.fail_after(10):
            await closed.wait()


async def test_a_request_that_was_taken_is_not_sent_again():
    asked = []

    async def serve(stream: trio.SocketStream) -> None:
        async for head, _ in Requests(stream):
            asked.append(head)
            if len(asked) > 1:
                return
            await stream.send_all(OK)

    async with site(serve) as here:
        await here.ask(b"a")
        with pytest.raises(Lost, match="without an answer") as caught:
            await here.ask(b"b")
        assert caught.value.stale
    assert len(asked) == 2


@pytest.mark.parametrize("closes", [1, 2, 9], ids=["once", "twice", "always"])
async def test_one_that_only_reads_is_sent_once_more_if_its_connection_had_waited(closes):
    asked = []

    async def serve(stream: trio.SocketStream) -> None:
        async for head, _ in Requests(stream):
            asked.append(head)
            if 1 < len(asked) <= 1 + closes:
                return
            await stream.send_all(OK)

    async with site(serve) as here:
        await here.ask(method=b"GET")
        if closes == 1:
            assert await here.ask(method=b"GET") == b"ok"
        else:
            with pytest.raises(Lost, match="without an answer"):
                await here.ask(method=b"GET")
        assert here.connections == 2
    assert len(asked) == 3


async def test_nobody_is_there():
    client = Client([], 5)
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    await listeners[0].aclose()
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1"):
        await client.send(
            b"GET", Target(Origin(False, "127.0.0.1", port, b"x"), b"/"), (), b"", None
        )

"""A client is asked whether it is there while nobody reads what it says."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from oq.http.asking import ASKED_AT, BEGINNING, LOOK
from oq.http.client_stream import ClientStream
from oq.http.unsent import Unsent

RESPONSE = BEGINNING + b"200 OK\r\ncontent-length: 0\r\n\r\n"


class Ends:
    """A connection, and its client."""

    def __init__(
        self, stream: ClientStream, client: trio.SocketStream, clock: trio.testing.MockClock
    ) -> None:
        self.stream = stream
        self.client = client
        self._clock = clock

    def fill(self) -> None:
        """The client says more than the sockets of both sides hold."""
        with suppress(BlockingIOError):
            while os.write(self.client.socket.fileno(), bytes(1 << 20)):
                pass

    async def look(self) -> None:
        """Time for one look goes by."""
        await wait_all_tasks_blocked()
        self._clock.jump(LOOK)
        await wait_all_tasks_blocked()


@asynccontextmanager
async def ends(clock: trio.testing.MockClock) -> AsyncIterator[Ends]:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listeners[0] as listener, trio.open_nursery() as nursery:
        client = await trio.open_tcp_stream(*listener.socket.getsockname())
        server = await listener.accept()
        async with client, server:
            stream = ClientStream(server, nursery.start_soon, Unsent(1 << 20))
            yield Ends(stream, client, clock)
        nursery.cancel_scope.cancel()


async def test_a_client_that_leaves_behind_what_nobody_reads_is_noticed(
    mock_clock: trio.testing.MockClock,
):
    async with ends(mock_clock) as both:
        both.fill()
        scope = trio.CancelScope()
        both.stream.watch_unread(scope)
        await both.look()
        await both.client.aclose()
        assert not scope.cancel_called
        looks = 0
        while not scope.cancel_called:
            await both.look()
            looks += 1
        assert looks <= 3


async def test_a_client_that_stays_gets_its_response_whole(mock_clock: trio.testing.MockClock):
    async with ends(mock_clock) as both:
        both.fill()
        scope = trio.CancelScope()
        both.stream.watch_unread(scope)
        for _ in range(2 * max(ASKED_AT)):
            await both.look()
        assert await both.client.receive_some() == BEGINNING  # what is known of each response
        assert await both.stream.send(RESPONSE)
        assert await both.stream.send(b"more")
        assert BEGINNING + await both.client.receive_some() == RESPONSE + b"more"
        assert not scope.cancel_called


@pytest.mark.parametrize("looks", [1, 2, 4])
async def test_nobody_is_asked_once_the_response_has_begun(
    mock_clock: trio.testing.MockClock, looks: int
):
    async with ends(mock_clock) as both:
        both.fill()
        both.stream.watch_unread(trio.CancelScope())
        for _ in range(looks):
            await both.look()
        assert await both.stream.send(RESPONSE)
        for _ in range(max(ASKED_AT)):
            await both.look()
        assert await both.client.receive_some() == RESPONSE


async def test_a_client_that_is_read_or_waited_for_is_not_asked(mock_clock: trio.testing.MockClock):
    async with ends(mock_clock) as both:
        both.stream.watch_unread(trio.CancelScope())
        for _ in range(max(ASKED_AT)):
            await both.look()
        for number in range(max(ASKED_AT)):
            await both.client.send_all(b"%d" % (number % 10))
            await both.look()
            assert await both.stream.receive(10) == b"%d" % (number % 10)
        assert await both.stream.send(RESPONSE)
        both.stream.abort()
        assert await both.client.receive_some() == RESPONSE


async def test_a_connection_that_was_ended_on_this_side_has_no_client(
    mock_clock: trio.testing.MockClock,
):
    async with ends(mock_clock) as both:
        scope = trio.CancelScope()
        both.stream.watch_unread(scope)
        both.stream.abort()
        await both.look()
        assert scope.cancel_called

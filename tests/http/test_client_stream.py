"""One client's connection: who has left is noticed, and nothing that was said is lost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from oq.http import client_stream
from oq.http.client_stream import MAX_RECEIVE, PATIENCE, ClientStream
from oq.http.unsent import Unsent


@asynccontextmanager
async def ends(
    unsent: Unsent | None = None,
) -> AsyncIterator[tuple[ClientStream, trio.SocketStream]]:
    """A connection, and its client."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listeners[0] as listener, trio.open_nursery() as nursery:
        client = await trio.open_tcp_stream(*listener.socket.getsockname())
        server = await listener.accept()
        async with client, server:
            with trio.fail_after(10):
                unsent = unsent or Unsent(1 << 20)
                yield ClientStream(server, nursery.start_soon, unsent), client
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize("way", ["closes", "says no more", "resets"])
@pytest.mark.parametrize("again", [False, True])
async def test_who_leaves_is_noticed(way: str, again: bool):
    async with ends() as (stream, client):
        if again:  # a request has been answered on this connection before
            stream.watch(trio.CancelScope())
            stream.unwatch()
            await client.send_all(b"next")
            assert await stream.receive(10) == b"next"
        with trio.CancelScope() as scope:
            stream.watch(scope)
            await wait_all_tasks_blocked()
            if way == "says no more":
                await client.send_eof()
            else:
                if way == "resets":
                    client.setsockopt(
                        trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, b"\1" + bytes(7)
                    )
                await client.aclose()
            await trio.sleep_forever()
        assert scope.cancelled_caught
        stream.unwatch()
        assert await stream.receive(10) == b""


async def test_who_has_left_before_is_noticed_at_once():
    async with ends() as (stream, client):
        stream.watch(trio.CancelScope())
        await client.send_eof()
        assert await stream.receive(10) == b""
        scope = trio.CancelScope()
        stream.watch(scope)
        assert scope.cancel_called


async def test_an_end_while_nobody_is_answered_cancels_nothing():
    async with ends() as (stream, client):
        scope = trio.CancelScope()
        stream.watch(scope)
        stream.unwatch()
        await client.send_eof()
        assert await stream.receive(10) == b""
        assert not scope.cancel_called


async def test_what_is_said_meanwhile_is_kept_in_order():
    async with ends() as (stream, client):
        scope = trio.CancelScope()
        stream.watch(scope)
        await client.send_all(b"first")
        await wait_all_tasks_blocked()
        await client.send_all(b"second")
        await wait_all_tasks_blocked()
        assert not scope.cancel_called
        await client.send_eof()
        await wait_all_tasks_blocked()
        assert scope.cancel_called, "who leaves does not wait for an answer to the next request"
        assert [await stream.receive(3) for _ in range(2)] == [b"fir", b"sts"]
        assert await stream.receive(MAX_RECEIVE) == b"econd"
        assert await stream.receive(MAX_RECEIVE) == b""


async def test_no_more_than_a_piece_is_read_ahead():
    async with ends() as (stream, client):
        stream.watch(trio.CancelScope())
        with pytest.raises(trio.TooSlowError), trio.fail_after(0.2):
            await client.send_all(bytes(100_000_000))
        assert len(await stream.receive(1 << 30)) <= MAX_RECEIVE


async def test_all_of_it_is_had_piece_by_piece():
    sent = bytes(range(256)) * 4096
    async with ends() as (stream, client), trio.open_nursery() as nursery:
        stream.watch(trio.CancelScope())
        nursery.start_soon(client.send_all, sent)
        got = b""
        for size in (1, MAX_RECEIVE - 1, 7, MAX_RECEIVE, 3) * 100_000:
            got += await stream.receive(size)
            if len(got) == len(sent):
                break
        assert got == sent


async def test_who_says_too_much_and_leaves_is_noticed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(client_stream, "PATIENCE", 0.01)
    async with ends() as (stream, client):
        with trio.CancelScope() as scope:
            stream.watch(scope)
            await client.send_all(bytes(50_000_000))  # more than any buffer of the kernel has
            assert not scope.cancel_called
            await client.aclose()
            await trio.sleep_forever()
        assert scope.cancelled_caught
        stream.unwatch()
        assert len(await stream.receive(1 << 30)) == MAX_RECEIVE, "what was kept is still there"
        assert await stream.receive(1 << 30) == b""


async def test_who_says_too_much_can_read_the_answer(monkeypatch: pytest.MonkeyPatch):
    """A connection that is closed with unread bytes would throw it away."""
    monkeypatch.setattr(client_stream, "PATIENCE", 0.01)
    async with ends() as (stream, client), trio.open_nursery() as nursery:
        stream.watch(trio.CancelScope())
        await client.send_all(bytes(10_000_000))
        stream.unwatch()
        assert await stream.send(b"answer")
        await stream.receive(MAX_RECEIVE)
        nursery.start_soon(stream.linger)
        await client.send_all(bytes(10_000_000))
        assert await client.receive_some() == b"answer"
        assert await client.receive_some() == b""
        await client.send_eof()


async def test_a_body_that_is_taken_slowly_is_not_too_much(mock_clock: trio.testing.MockClock):
    sent = bytes(range(256)) * 2048
    async with ends() as (stream, client), trio.open_nursery() as nursery:
        stream.watch(trio.CancelScope())
        stream.unwatch()  # what it says now is its next request
        nursery.start_soon(client.send_all, sent)
        got = b""
        while len(got) < len(sent):
            await wait_all_tasks_blocked()
            mock_clock.jump(PATIENCE / 50)
            got += await stream.receive(MAX_RECEIVE // 8)
        assert got == sent


async def test_patience_is_for_one_request(mock_clock: trio.testing.MockClock):
    sent = bytes(range(256)) * 2048
    async with ends() as (stream, client), trio.open_nursery() as nursery:
        stream.watch(trio.CancelScope())
        nursery.start_soon(client.send_all, sent)
        for _ in range(3):  # requests that have been read before
            await wait_all_tasks_blocked()
            mock_clock.jump(PATIENCE * 0.6)
            stream.unwatch()
            stream.watch(trio.CancelScope())
        got = b""
        while len(got) < len(sent):
            got += await stream.receive(MAX_RECEIVE)
        assert got == sent


async def test_to_abort_ends_all_waits():
    async with ends() as (stream, _):
        scope = trio.CancelScope()
        stream.watch(scope)
        await wait_all_tasks_blocked()
        stream.abort()
        assert await stream.receive(10) == b""
        assert scope.cancel_called


async def test_what_is_not_taken_at_once_leaves_before_all_that_follows():
    pieces = [bytes([number]) * MAX_RECEIVE for number in range(256)]
    async with ends() as (stream, client), trio.open_nursery() as nursery:
        sent = b""
        for piece in pieces:
            sent += piece
            if not stream.send_nowait(piece):
                break
        assert stream.owes
        assert not stream.send_nowait(b"behind it")
        got = b""

        async def read() -> None:
            nonlocal got
            async for data in client:
                got += data

        nursery.start_soon(read)
        assert await stream.send(b"")
        assert not stream.owes
        assert stream.send_nowait(b"and again at once")
        assert await stream.send(b", the end")
        stream.abort()
    assert got == sent + b"behind it" + b"and again at once" + b", the end"


async def test_who_has_left_takes_nothing_at_once():
    async with ends() as (stream, client):
        await client.aclose()
        while stream.send_nowait(b"x"):
            await trio.lowlevel.checkpoint()
        assert not await stream.send(b"")

"""An upload to a backend that lives, and for a time takes nothing of it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager, asynccontextmanager, suppress

import trio
from trio.testing import wait_all_tasks_blocked

from oq.http.gateway.proxy import TAKE_TIMEOUT
from tests.support.told import FAST, Site, http, site

BIG = 12_000_000
"""Bytes: more than the sockets between a caller, oq and a backend hold."""
PATH = "/api/blobs/sha256:" + "a" * 64
Serve = Callable[[trio.SocketStream], Awaitable[None]]


@asynccontextmanager
async def before(serve: Serve) -> AsyncIterator[Site]:
    """oq before a backend that does this with an upload."""

    async def accept(stream: trio.SocketStream) -> None:
        async with stream:
            with suppress(trio.BrokenResourceError):
                if (await stream.receive_some(64)).startswith(b"POST "):
                    await serve(stream)
                else:  # it lives
                    await stream.send_all(http(b"{}", "application/json"))

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, accept, listeners)
        where = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        async with site(FAST, where, "ollama", gateway={"allow_admin": True}) as here:
            yield here
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def uploading(here: Site) -> AsyncIterator[trio.SocketStream]:
    """A caller that uploads."""
    async with await here.connect() as caller, trio.open_nursery() as nursery:

        async def send() -> None:
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                await caller.send_all(here.request("POST", PATH, b"x" * BIG))

        nursery.start_soon(send)
        yield caller
        nursery.cancel_scope.cancel()


def hurry(clock: trio.testing.MockClock) -> AbstractContextManager[trio.CancelScope]:
    """From now on time goes by itself, fast. The block that has to end soon."""
    clock.rate = 10
    return trio.fail_after(200)


async def go_on(clock: trio.testing.MockClock, seconds: float) -> None:
    """Time goes by once the upload stands still."""
    await wait_all_tasks_blocked(0.01)
    clock.jump(seconds)
    await wait_all_tasks_blocked(0.01)


async def rest_of(caller: trio.SocketStream) -> bytes:
    """What the caller gets until its connection ends."""
    got = b""
    while more := await caller.receive_some():
        got += more
    return got


async def test_a_caller_that_waits_gets_its_answer_whole(mock_clock: trio.testing.MockClock):
    late = trio.Event()

    async def take_late(stream: trio.SocketStream) -> None:
        await late.wait()
        taken = 64
        while taken < BIG:
            taken += len(await stream.receive_some(1 << 20))
        await stream.send_all(http(b"taken", "text/plain", status="201 Created"))

    async with before(take_late) as here, uploading(here) as caller:
        await go_on(mock_clock, TAKE_TIMEOUT - 1)
        late.set()
        got = b""
        with hurry(mock_clock):
            while not got.endswith(b"\r\n\r\ntaken"):
                got += await caller.receive_some()
    assert got.startswith(b"HTTP/1.1 201 Created\r\n")
    assert got.count(b"HTTP/1.1") == 1


async def test_a_caller_that_has_left_holds_nothing_for_longer(mock_clock: trio.testing.MockClock):
    async def take_nothing(stream: trio.SocketStream) -> None:
        await trio.sleep_forever()

    async with before(take_nothing) as here:
        async with uploading(here):
            await go_on(mock_clock, 1)
        await go_on(mock_clock, TAKE_TIMEOUT)
        with hurry(mock_clock):
            while here.server._connections:
                await trio.lowlevel.checkpoint()


async def test_a_caller_that_leaves_when_all_is_taken_is_noticed():
    body = b"x" * 100
    taken, left = trio.Event(), trio.Event()

    async def take_all(stream: trio.SocketStream) -> None:
        got = b""
        while not got.endswith(body):
            got += await stream.receive_some(1 << 20)
        taken.set()
        while await stream.receive_some(1 << 20):
            pass
        left.set()

    async with before(take_all) as here:
        async with await here.connect() as caller:
            await caller.send_all(here.request("POST", PATH, body))
            await taken.wait()
        with trio.fail_after(20):
            await left.wait()


async def test_a_backend_that_takes_nothing_is_given_up(mock_clock: trio.testing.MockClock):
    async def take_nothing(stream: trio.SocketStream) -> None:
        await trio.sleep_forever()

    async with before(take_nothing) as here, uploading(here) as caller:
        await go_on(mock_clock, TAKE_TIMEOUT)
        with hurry(mock_clock):
            head, _, body = (await rest_of(caller)).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 504 ")
    assert json.loads(body) == {"error": "the backend took nothing of the body for 60 s"}


async def test_a_backend_that_answers_need_not_take_the_rest(mock_clock: trio.testing.MockClock):
    full, late = trio.Event(), trio.Event()
    answer = http(b"too big", "text/plain", status="413 No")

    async def refuse_slowly(stream: trio.SocketStream) -> None:
        await full.wait()
        await stream.send_all(answer[:-3])
        await late.wait()
        await stream.send_all(answer[-3:])
        await trio.sleep_forever()

    async with before(refuse_slowly) as here, uploading(here) as caller:
        await go_on(mock_clock, TAKE_TIMEOUT / 2)
        full.set()
        await go_on(mock_clock, TAKE_TIMEOUT)
        late.set()
        with hurry(mock_clock):
            got = await rest_of(caller)
    assert got.startswith(b"HTTP/1.1 413 ")
    assert got.endswith(b"\r\n\r\ntoo big")

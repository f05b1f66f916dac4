"""What clients may make the server hold: bodies, and connections."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from resource import getpagesize

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from oq.words.config import Config
from tests.support.http import GENERATE, Live, live

MB = 1 << 20
LIMIT = 4 * MB
SETTINGS = {"server": {"max_inflight_bytes": LIMIT}, "queue": {"max_payload": 2 * MB}}
SMALL = json.dumps(GENERATE).encode()
WAYS = {
    "the fast path": ("/api/tasks", False),
    "a batch in the fast path": ("/api/tasks/batch", False),
    "Quart, in chunks": ("/api/tasks", True),
    "Quart": ("/api/tasks/bulk", False),
    "what has no body": ("/api/queue/pause", False),
    "nothing": ("/nope", True),
    "a call": ("/api/chat", False),
    "a call in chunks": ("/v1/chat/completions", True),
    "what is passed on": ("/api/show", False),
    "what is passed on, in chunks": ("/api/show", True),
}


def begun(path: str, size: int, *, chunked: bool) -> bytes:
    """A request with `size` bytes of its body, of which one byte is still to come."""
    length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {size + 1}"
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{length}\r\n\r\n".encode()
    return head + (b"%x\r\n" % (size + 1) if chunked else b"") + b"x" * size


def whole(path: str, body: bytes) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def until(true: Callable[[], bool]) -> None:
    with trio.fail_after(20):
        while not true():
            await wait_all_tasks_blocked(0.001)


class Crowd:
    """Clients that send their bodies but for the last byte."""

    def __init__(self, oq: Live, stack: AsyncExitStack) -> None:
        self._oq = oq
        self._stack = stack

    async def send(self, request: bytes) -> trio.SocketStream:
        stream = await self._stack.enter_async_context(await self._oq.connect())
        with suppress(trio.BrokenResourceError):  # it may be refused in the middle
            await stream.send_all(request)
        return stream


@asynccontextmanager
async def crowd(oq: Live) -> AsyncIterator[Crowd]:
    async with AsyncExitStack() as stack:
        yield Crowd(oq, stack)


@pytest.mark.parametrize(("path", "chunked"), WAYS.values(), ids=WAYS.keys())
async def test_all_bodies_together_have_a_bound_in_every_entrance(path: str, chunked: bool):
    request = begun(path, MB, chunked=chunked)
    async with live(paused=True, **SETTINGS) as oq:
        account = oq.app.context.inflight
        async with crowd(oq) as clients:
            for number in range(1, 4):
                await clients.send(request)
                await until(lambda n=number: account.held == n * MB)
            await clients.send(request)
            await until(lambda: account.held > 4 * MB - 1 or account.held == 3 * MB)
            refused = await clients.send(request)
            with trio.fail_after(20):
                answer = await refused.receive_some()
            assert answer.startswith(b"HTTP/1.1 503 "), answer
            assert b"server.max_inflight_bytes" in answer
            assert b"retry-after: 5" in answer.lower()
            assert b"connection: close" in answer.lower()
            assert account.held <= LIMIT
            # What is small goes through all the same.
            assert (await oq.talk(whole("/api/tasks", SMALL))).startswith(b"HTTP/1.1 201 ")
        await until(lambda: account.held == 0)


@pytest.mark.parametrize("path", ["/api/tasks", "/api/chat", "/nope"])
async def test_to_announce_a_body_costs_the_others_nothing(path: str):
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {2 * MB}\r\n\r\n".encode()
    async with live(paused=True, **SETTINGS) as oq, crowd(oq) as clients:
        for _ in range(20):
            await clients.send(head)
        big = json.dumps({**GENERATE, "payload": {"prompt": "x" * MB}}).encode()
        assert (await oq.talk(whole("/api/tasks", big))).startswith(b"HTTP/1.1 201 ")


async def test_a_call_that_waits_holds_no_body():
    call = {"model": "m", "messages": [{"role": "user", "content": "x" * MB}]}
    async with live(paused=True, **SETTINGS) as oq, crowd(oq) as clients:
        for number in range(1, 9):
            await clients.send(whole("/api/chat", json.dumps(call).encode()))
            await until(lambda n=number: oq.queue.status().pending_tasks == n)
        await until(lambda: oq.app.context.inflight.held == 0)


async def test_what_is_held_is_given_back_however_a_request_ends():
    async with live(**SETTINGS) as oq:
        account = oq.app.context.inflight
        for path in ("/api/tasks", "/api/tasks/bulk", "/api/chat", "/api/show", "/nope"):
            for body in (b"nonsense" * 20_000, b"x" * (2 * MB + 1), b""):
                answer = await oq.talk(whole(path, body))
                assert answer.startswith(b"HTTP/1.1 4") or path == "/api/show", (path, answer[:100])
                assert account.held == 0
            async with crowd(oq) as clients:
                await clients.send(begun(path, MB, chunked=True))
                await until(lambda: account.held == MB)
            await until(lambda: account.held == 0)


async def test_memory_stays_near_the_bound():
    """Forty clients with 4 MB each, which without a bound are 160 MB; their bytes are shared."""
    settings = {"server": {"max_inflight_bytes": 8 * MB}, "queue": {"max_payload": 8 * MB}}
    requests = [begun(path, 4 * MB, chunked=chunked) for path, chunked in WAYS.values()]
    async with live(paused=True, **settings) as oq, crowd(oq) as clients:
        before = resident()
        async with trio.open_nursery() as nursery:
            for request in requests * 4:
                nursery.start_soon(clients.send, request)
        assert oq.app.context.inflight.held <= 8 * MB + 40 * 64 * 1024
        assert resident() - before < 80 * MB


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * getpagesize()


# -- connections

ASK = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
LISTEN = b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def test_one_client_leaves_room_for_others():
    async with live(server={"host": "0.0.0.0", "max_connections": 8}) as oq:
        async with crowd(oq) as clients:
            for _ in range(6):
                assert (await (await clients.send(LISTEN)).receive_some()).startswith(
                    b"HTTP/1.1 200"
                )
            answer = await oq.talk(b"")
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert b"6 connections from 127.0.0.1 are open already" in answer
            assert b"server.max_client_connections" in answer
            other = await trio.open_tcp_stream("127.0.0.1", oq.port, local_address="127.0.0.2")
            async with other:
                await other.send_all(ASK)
                assert (await other.receive_some()).startswith(b"HTTP/1.1 200 ")
        await until(lambda: not oq.server._connections)
        assert oq.server._clients == {}
        assert (await oq.talk(ASK)).startswith(b"HTTP/1.1 200 ")


async def test_those_who_listen_to_events_leave_room_for_others_at_the_same_address():
    limits = {"server": {"max_connections": 12}, "events": {"max_subscribers": 3}}
    async with live(**limits) as oq, crowd(oq) as clients:
        for _ in range(3):
            answer = await (await clients.send(LISTEN)).receive_some()
            assert answer.startswith(b"HTTP/1.1 200 ")
        for _ in range(20):  # each of which is ended, though it does not ask for that
            answer = await oq.talk(LISTEN)
            assert b"events.max_subscribers" in answer
        await until(lambda: len(oq.server._connections) == 3)
        assert (await oq.talk(ASK)).startswith(b"HTTP/1.1 200 ")


def test_by_default_too():
    config = Config()
    client = config.server.max_connections * 3 // 4
    assert config.events.max_subscribers < client < config.server.max_connections


async def test_how_many_one_client_may_have_can_be_set():
    limits = {"max_connections": 8, "max_client_connections": 2}
    async with live(server=limits) as oq, crowd(oq) as clients:
        for _ in range(2):
            await (await clients.send(LISTEN)).receive_some()
        assert b"2 connections from 127.0.0.1" in await oq.talk(b"")

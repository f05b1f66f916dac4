"""A caller who leaves gives its place back at once, on both ways, whatever it has said before."""

from __future__ import annotations

import select
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

import pytest
import trio

from oq.http import client_stream
from tests.support.told import FAST, ORDINARY, http, site

CALL = b'{"model":"m","stream":false,"messages":[{"role":"user","content":"x"}]}'
LONG = CALL.replace(b"x", b"x" * 200_000)
NEXT = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Silent:
    """A backend that takes each request, says nothing, and notes when its caller hangs up."""

    def __init__(self) -> None:
        self.asked, self.hung_up = trio.Event(), trio.Event()
        self.where = ""

    async def serve(self, stream: trio.SocketStream) -> None:
        async with stream:
            async for data in stream:
                if b'"messages"' in data:
                    self.asked.set()
        if self.asked.is_set():
            self.hung_up.set()


Here = TypeVar("Here", "Silent", "Deaf")
ODD = pytest.mark.parametrize("odd", [FAST, ORDINARY], ids=["fast", "ordinary"])


@asynccontextmanager
async def serving(here: Here) -> AsyncIterator[Here]:
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        here.where = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        nursery.start_soon(trio.serve_listeners, here.serve, listeners)
        yield here
        nursery.cancel_scope.cancel()


@ODD
@pytest.mark.parametrize("body", [CALL, LONG], ids=["short", "long"])
@pytest.mark.parametrize("later", [False, True], ids=["with it", "later"])
@pytest.mark.parametrize(
    "more", [b"", b"\r\n", NEXT, NEXT[:9], NEXT * 20_000, b"x" * 20_000_000], ids=len
)
async def test_a_caller_who_leaves_in_the_midst_of_a_call(
    odd: str, body: bytes, later: bool, more: bytes, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(client_stream, "PATIENCE", 0.01)
    with trio.fail_after(20):
        async with serving(Silent()) as backend, site(odd, backend.where, "openai") as here:
            async with await here.connect() as caller:
                call = here.request("POST", "/v1/chat/completions", body)
                await caller.send_all(call if later else call + more)
                await backend.asked.wait()
                if later and more:
                    await caller.send_all(more)
            await backend.hung_up.wait()


class Deaf:
    """A backend that lives, and of a request that has a body reads nothing but how it begins. It
    notes when it is told that its caller has gone.
    """

    def __init__(self) -> None:
        self.asked, self.told = trio.Event(), trio.Event()
        self.where = ""

    async def serve(self, stream: trio.SocketStream) -> None:
        async with stream:
            if (await stream.receive_some(64)).startswith(b"GET "):
                await stream.send_all(http(b"{}", "application/json"))
                await stream.receive_some()
            else:
                self.asked.set()
                await _wait_reset(stream.socket)
                self.told.set()


async def _wait_reset(socket: trio.socket.SocketType) -> None:
    """Return when the other side has reset the connection, with nothing read."""
    with select.epoll() as epoll:
        epoll.register(socket, 0)  # an error is told whatever is asked for
        await trio.lowlevel.wait_readable(epoll)


BIG = 12_000_000
"""Bytes: more than the sockets between oq and a backend hold."""


@ODD
@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize(
    ("kind", "path"), [("openai", "/v1/chat/completions"), ("ollama", "/api/chat")]
)
async def test_a_call_that_its_backend_does_not_read(odd: str, streams: bool, kind: str, path: str):
    told = CALL.replace(b"false", b"true") if streams else CALL
    with trio.fail_after(20):
        async with serving(Deaf()) as backend, site(odd, backend.where, kind) as here:
            async with await here.connect() as caller:
                await caller.send_all(here.request("POST", path, told.replace(b"x", b"x" * BIG)))
                await backend.asked.wait()
                assert here.queue.status().workers_active == 1
            await backend.told.wait()
            while here.queue.status().workers_active:
                await trio.lowlevel.checkpoint()

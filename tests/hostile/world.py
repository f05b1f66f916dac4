"""The server, a backend that tells its key to everybody, and a server that nobody may reach."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from math import inf
from time import thread_time
from typing import Any

import httpx
import trio

from oq.http.app import create_app
from oq.http.listen import bind_all, url
from oq.http.server import Server
from oq.queue import Queue, open_queue
from oq.store import KeyValueLedger, MemoryEngine
from oq.words.config import to_config
from tests.hostile.drawn import HANDSHAKE
from tests.support.gateway import QUICK

KEY = "sk-the-key-that-nobody-may-see-0123456789"
SILENCE = 0.3
"""Seconds without a byte after which a hostile client has seen enough; nothing is judged by it."""


class Steps(trio.abc.Instrument):
    """How long the longest step was that any task took without letting others go on, in seconds of
    CPU: what other programs do on the machine is not in it.

    What is in memory before is kept from the garbage collector, as `oq serve` does: else the step
    in which that looks at everything takes as long as all earlier tests have left to look at.
    """

    def __init__(self) -> None:
        self.longest = 0.0
        self._began = inf  # the step in which it is added is not looked at

    def __enter__(self) -> Steps:
        gc.collect()
        gc.freeze()
        trio.lowlevel.add_instrument(self)
        return self

    def __exit__(self, *_: object) -> None:
        trio.lowlevel.remove_instrument(self)
        gc.unfreeze()

    def before_task_step(self, task: Any) -> None:
        self._began = thread_time()

    def after_task_step(self, task: Any) -> None:
        self.longest = max(self.longest, thread_time() - self._began)


@dataclass
class World:
    """`strangers`: what has come to the server that nobody may reach."""

    url: httpx.URL
    queue: Queue
    canary: str
    strangers: list[bytes] = field(default_factory=list)
    asked: list[bytes] = field(default_factory=list)
    """The heads of what has come to the backend."""

    async def say(self, request: bytes) -> bytes:
        """Send it over a connection of its own; what comes back."""
        answer = b""
        stream = await trio.open_tcp_stream("127.0.0.1", self.url.port or 0)
        async with stream, trio.open_nursery() as nursery:
            if request.startswith(HANDSHAKE):  # frames before its answer would be refused unread
                await stream.send_all(HANDSHAKE)
                while not answer.endswith(b"\r\n\r\n"):
                    answer += await stream.receive_some(1)
                request = request.removeprefix(HANDSHAKE)
            nursery.start_soon(self._send, stream, request)
            with suppress(trio.BrokenResourceError):
                while part := await self._part(stream):
                    answer += part
            nursery.cancel_scope.cancel()
        return answer

    async def _send(self, stream: trio.SocketStream, request: bytes) -> None:
        with suppress(trio.BrokenResourceError):  # it may be refused in the middle
            await stream.send_all(request)

    async def _part(self, stream: trio.SocketStream) -> bytes:
        with trio.move_on_after(SILENCE):
            return bytes(await stream.receive_some())
        return b""


@asynccontextmanager
async def world() -> AsyncIterator[World]:
    async with trio.open_nursery() as nursery:
        strangers: list[bytes] = []
        asked: list[bytes] = []
        canary = await _listen(nursery, strangers, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        said = b'{"error":"invalid key Bearer %b"}' % KEY.encode()
        head = b"HTTP/1.1 401 %b\r\nContent-Type: application/json\r\nX-Request-ID: %b\r\n"
        head = head % ((KEY.encode(),) * 2) + b"Connection: close\r\nContent-Length: %d\r\n\r\n"
        backend = await _listen(nursery, asked, head % len(said) + said)
        config = to_config(
            {
                "server": {"port": 0},
                "gateway": {"allow_admin": True},
                "retry_config": {**QUICK, "max_retries": 0},
                "backends": [
                    {"name": "b", "kind": "ollama", "url": f"http://{backend}", "api_key": KEY}
                ],
            }
        )
        async with open_queue(config, ledger=KeyValueLedger(MemoryEngine())) as queue:
            app = create_app(queue)
            sockets, _ = bind_all(config)
            server = Server(app, app.fast_path, sockets, max_connections=200)
            await nursery.start(server.run)
            where = httpx.URL(url(config.server, sockets))
            yield World(where, queue, canary, strangers, asked)
            app.context.close()
            server.stop()
        nursery.cancel_scope.cancel()


async def _listen(nursery: trio.Nursery, heads: list[bytes], answer: bytes) -> str:
    """A server that answers everybody the same, and keeps what it was told; its address."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")

    async def serve(stream: trio.SocketStream) -> None:
        with suppress(trio.BrokenResourceError):
            heads.append(bytes(await stream.receive_some(10_000)))
            await stream.send_all(answer)
            while await stream.receive_some(1 << 20):  # else what it sent would be thrown away
                pass

    await nursery.start(trio.serve_listeners, serve, listeners)
    return f"127.0.0.1:{listeners[0].socket.getsockname()[1]}"

"""Real servers for clients: a queue in memory behind Hypercorn, on a thread of its own.

Clients under asyncio, under trio and without either talk to the same one. It can be stopped and
started again, with all that it had stored and at the same address.
"""

from __future__ import annotations

import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import trio

from oq.backends.simulated import SimulatedBackend
from oq.http.app import create_app
from oq.http.fast_path import Address, FastPath, FastRequest, Serve
from oq.http.listen import bind, url
from oq.http.peer import Peer
from oq.http.request import Request
from oq.http.server import Server
from oq.queue import open_queue
from oq.store import KeyValueLedger, MemoryEngine
from tests.support.http import settings
from tests.support.ports import kept_port


class Served:
    """A server that runs. `url` is where; `requests` counts them, as ``"POST /api/tasks"``."""

    def __init__(self, port: int, **sections: dict[str, Any]) -> None:
        self.requests: Counter[str] = Counter()
        self.url = ""
        self.most_open = 0
        """Requests that were under way at once."""
        self._open = 0
        self._sections = sections
        self._engine = MemoryEngine()
        self._port = port
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        up = threading.Event()
        self._thread = threading.Thread(target=trio.run, args=(self._serve, up), daemon=True)
        self._thread.start()
        assert up.wait(20), "the server does not start"

    def stop(self) -> None:
        """Drain, then end, as on SIGTERM."""
        assert self._thread is not None
        self._token.run_sync_soon(self._stop.set)
        self._thread.join(30)
        assert not self._thread.is_alive(), "the server does not stop"
        self._thread = None

    def restart(self) -> None:
        self.stop()
        self.start()

    async def _serve(self, up: threading.Event) -> None:
        sections = {name: dict(keys) for name, keys in self._sections.items()}
        sections["queue"] = {"drain_timeout": 0.1} | sections.get("queue", {})
        sections["server"] = {"port": self._port} | sections.get("server", {})
        config = settings(**sections)
        self._token = trio.lowlevel.current_trio_token()
        self._stop = trio.Event()
        backend = SimulatedBackend("sim")
        ledger = KeyValueLedger(self._engine)
        async with (
            open_queue(config, backends=[backend], ledger=ledger) as queue,
            trio.open_nursery() as nursery,
        ):
            app = create_app(queue)
            sockets = bind(config.server)
            fast_path = _CountingFastPath(app.fast_path, self)
            http = Server(self._counting(app), fast_path, sockets, max_connections=1000)
            await nursery.start(http.run)
            self.url = url(config.server, sockets)
            up.set()
            await self._stop.wait()
            await queue.drain()
            app.context.close()
            http.stop()
        for one in sockets:
            one.close()

    def _counting(self, app: Any) -> Any:
        async def counted(scope: Any, receive: Any, send: Any) -> None:
            with self.counted(scope):
                await app(scope, receive, send)

        return counted

    @contextmanager
    def counted(self, scope: Any) -> Iterator[None]:
        """Count a request, which is under way in the block."""
        if scope["type"] == "http":
            path = scope["path"]
            if path.startswith("/api/tasks/0"):
                path = "/api/tasks/ID" + path[len("/api/tasks/") + 36 :]
            self.requests[f"{scope['method']} {path}"] += 1
        self._open += 1
        self.most_open = max(self.most_open, self._open)
        try:
            yield
        finally:
            self._open -= 1


class _CountingFastPath(FastPath):
    """A server's fast path, whose requests are counted as well."""

    def __init__(self, fast_path: FastPath, served: Served) -> None:
        self.__dict__ |= fast_path.__dict__
        self._served = served

    def take(self, data: bytes, client: Address, server: Address) -> FastRequest | None:
        taken = super().take(data, client, server)
        return None if taken is None else taken._replace(serve=partial(self._count, taken.serve))

    async def _count(self, serve: Serve, request: Request, peer: Peer) -> None:
        with self._served.counted(request.scope):
            await serve(request, peer)


@contextmanager
def served(**sections: dict[str, Any]) -> Iterator[Served]:
    """A server, for the block."""
    with kept_port() as port:
        server = Served(port, **sections)
        server.start()
        try:
            yield server
        finally:
            if server._thread is not None:
                server.stop()


class Cutter:
    """A way to a server on which each connection breaks after some bytes of the answer.

    `bytes_of(n)` says after how many the n-th does; None: never.
    """

    def __init__(self, url: str, bytes_of: Callable[[int], int | None]) -> None:
        self._target = ("127.0.0.1", int(url.rpartition(":")[2]))
        self._bytes_of = bytes_of
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.connections = 0
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                limit = self._bytes_of(self.connections)
                self.connections += 1
                threading.Thread(target=self._serve, args=(near, limit), daemon=True).start()

    def _serve(self, near: socket.socket, limit: int | None) -> None:
        with suppress(OSError), near, socket.create_connection(self._target) as far:
            threading.Thread(target=_copy, args=(near, far), daemon=True).start()
            _copy(far, near, limit)


def _copy(source: socket.socket, sink: socket.socket, limit: int | None = None) -> None:
    left = 1 << 60 if limit is None else limit
    with suppress(OSError):
        while left and (data := source.recv(min(left, 65536))):
            sink.sendall(data)
            left -= len(data)
        for one in (source, sink):
            one.shutdown(socket.SHUT_RDWR)


@contextmanager
def cutting(url: str, bytes_of: Callable[[int], int | None]) -> Iterator[Cutter]:
    """A `Cutter`, for the block."""
    cutter = Cutter(url, bytes_of)
    try:
        yield cutter
    finally:
        cutter.close()

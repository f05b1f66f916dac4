"""Hypercorn's HTTP server on trio, with a limit on its connections and a stop that ends."""

from __future__ import annotations

import errno
import socket
from collections import Counter
from collections.abc import Sequence
from ipaddress import IPv6Address, ip_address, ip_network
from math import inf
from typing import Any

import structlog
import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config as HyperConfig
from hypercorn.trio.worker_context import WorkerContext

from oq.http.client_stream import LINGER
from oq.http.connection import Connection
from oq.http.fast_path import FastPath
from oq.http.fast_peer import ServerHeaders
from oq.http.responses import ErrorAnswer, encode
from oq.http.unsent import MAX_UNSENT, Unsent

log = structlog.get_logger()

GRACE = 5.0
"""Seconds that answers which are on their way get once the server stops."""
KEEP_ALIVE = 30.0
"""Seconds that a connection may be idle, or take to send the head of a request."""
LOOKS_APART = 1 / 30
"""Of that time passes at least between two looks for connections that have been idle for too long:
there may be thousands of them, each with its own end."""
MAX_HEAD = 32 * 1024
"""Bytes of a request's first line and headers."""
MAX_WAITING = 2
"""Parts of a body, of up to 64 kB, that wait until the application takes them."""
MAX_MESSAGE = 64 * 1024
"""Bytes of a WebSocket message that comes in; what it says is ignored."""
PING_INTERVAL = 20.0
MAX_REFUSED = 64
"""Connections beyond the limit that are told so at once, and at most half as many as there may be
within it; what comes beyond these is only closed."""
ACCEPT_PAUSE = 0.1
"""Seconds until it is tried again to take a connection for which there was no file."""
TELL_INTERVAL = 60.0
"""Seconds between two words in the log about that."""
_NO_ROOM = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})


class Server:
    """Serves an ASGI application, and its fast path, on sockets that listen already."""

    def __init__(
        self,
        app: Any,
        fast_path: FastPath,
        sockets: Sequence[socket.socket],
        *,
        max_connections: int,
        max_client_connections: int | None = None,
        max_unsent_bytes: int = MAX_UNSENT,
    ) -> None:
        self._app = ASGIWrapper(app)
        self._fast_path = fast_path
        self._listeners = [
            trio.SocketListener(trio.socket.from_stdlib_socket(one)) for one in sockets
        ]
        self._limit = max_connections
        self._client_limit = max_client_connections or max_connections - max_connections // 4
        self._clients: Counter[str] = Counter()
        self._unsent = Unsent(max_unsent_bytes)
        self._config = _hypercorn_config()
        self._headers = ServerHeaders(self._config)
        self._context = WorkerContext(None)
        self._connections: set[Connection] = set()
        self._some = trio.Event()
        self._all_gone = trio.Event()
        self._refused = 0
        self._accepting = trio.CancelScope()
        self._tell_again = -inf

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until `stop`, or until cancelled; either way no connection is left open."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._end_idle)
            try:
                with self._accepting:
                    async with trio.open_nursery() as accepting:
                        for listener in self._listeners:
                            accepting.start_soon(self._accept, listener, nursery)
                        task_status.started()
                await self._wind_down()
            finally:
                for connection in self._connections:
                    connection.abort()
                nursery.cancel_scope.cancel()

    def stop(self) -> None:
        """Take no more connections, and end those that are open when their answers are sent."""
        self._accepting.cancel()

    async def _wind_down(self) -> None:
        await self._context.terminated.set()
        for connection in tuple(self._connections):
            connection.end_if_idle()
        with trio.move_on_after(GRACE):
            while self._connections:
                self._all_gone = trio.Event()
                await self._all_gone.wait()

    async def _end_idle(self) -> None:
        """End the connections that have been idle for too long, until cancelled. A deadline of each
        would have to be moved twice in each request.
        """
        patience = self._config.keep_alive_timeout
        while True:
            if not self._connections:
                self._some = trio.Event()
                await self._some.wait()
            now = trio.current_time()
            due = now + patience  # of those that become idle from now on
            for connection in self._connections:
                ends = connection.idle_since + patience
                if ends <= now:
                    connection.end_if_idle()
                else:
                    due = min(due, ends)
            await trio.sleep_until(max(due, now + patience * LOOKS_APART))

    async def _accept(self, listener: trio.SocketListener, handlers: trio.Nursery) -> None:
        """Take connections for ever. While the system has no file or no memory for one it waits:
        those that end make room.
        """
        async with listener:
            while True:
                try:
                    stream = await listener.accept()
                except OSError as error:
                    if error.errno not in _NO_ROOM:
                        raise
                    self._tell_no_room(error)
                    await trio.sleep(ACCEPT_PAUSE)
                else:
                    handlers.start_soon(self._handle, stream)

    def _tell_no_room(self, error: OSError) -> None:
        """Say it once in a while: it may come back many times a second."""
        now = trio.current_time()
        if now >= self._tell_again:
            self._tell_again = now + TELL_INTERVAL
            log.warning("no connection can be taken just now", reason=error.strerror)

    async def _handle(self, stream: trio.SocketStream) -> None:
        try:
            await self._serve_or_refuse(stream)
        finally:
            await trio.aclose_forcefully(stream)

    async def _serve_or_refuse(self, stream: trio.SocketStream) -> None:
        client = _client(stream)
        if len(self._connections) >= self._limit:
            await self._refuse_some(stream, f"{self._limit} connections are open already", "")
        elif self._clients[client] >= self._client_limit:
            text = f"{self._client_limit} connections from {client} are open already"
            await self._refuse_some(stream, text, "client_")
        else:
            await self._serve(stream, client)

    async def _serve(self, stream: trio.SocketStream, client: str) -> None:
        connection = Connection(
            self._app,
            self._fast_path,
            self._config,
            self._headers,
            self._context,
            stream,
            self._unsent,
        )
        self._connections.add(connection)
        self._some.set()
        self._clients[client] += 1
        try:
            await connection.serve()
        finally:
            self._connections.discard(connection)
            self._clients[client] -= 1
            if not self._clients[client]:
                del self._clients[client]
            self._all_gone.set()

    async def _refuse_some(self, stream: trio.SocketStream, why: str, which: str) -> None:
        """Each of those holds a file for a while; there must not be any number of them."""
        if self._refused >= min(MAX_REFUSED, max(2, self._limit // 2)):
            await trio.aclose_forcefully(stream)
            return
        self._refused += 1
        try:
            await self._refuse(stream, _too_many(why, f"server.max_{which}connections"))
        finally:
            self._refused -= 1

    async def _refuse(self, stream: trio.SocketStream, answer: bytes) -> None:
        """Say that there are too many; a client that were not accepted would wait in the dark."""
        with trio.move_on_after(LINGER):
            try:
                await stream.send_all(answer)
                await stream.send_eof()
                while await stream.receive_some(64 * 1024):
                    pass
            except trio.BrokenResourceError:
                pass


class _Log:
    """Hypercorn's log as ours; an access line for each request at level debug."""

    def __init__(self, _config: HyperConfig) -> None:
        pass

    async def access(self, request: Any, response: Any, seconds: float) -> None:
        if response is None:
            return  # the client left: perhaps before its answer, perhaps right after it
        log.debug(
            "request",
            method=request.get("method", "WS"),
            path=request["path"],
            status=response["status"],
            ms=round(seconds * 1000, 1),
        )

    async def exception(self, message: str, *args: Any, **kwargs: Any) -> None:
        log.exception(message.lower())

    async def warning(self, message: str, *args: Any, **kwargs: Any) -> None:
        log.warning(message.lower())

    async def info(self, message: str, *args: Any, **kwargs: Any) -> None:
        log.debug(message.lower())


def _hypercorn_config() -> HyperConfig:
    config = HyperConfig()
    config.logger_class = _Log  # type: ignore[assignment]
    config.include_server_header = False
    config.keep_alive_timeout = KEEP_ALIVE
    config.h11_max_incomplete_size = MAX_HEAD
    config.websocket_max_message_size = MAX_MESSAGE
    config.max_app_queue_size = MAX_WAITING
    config.websocket_ping_interval = PING_INTERVAL
    return config


def _client(stream: trio.SocketStream) -> str:
    """Whose connection it is: an address, of IPv6 the network of 64 bits that one host may have."""
    try:
        text = str(stream.socket.getpeername()[0])
        address = ip_address(text.partition("%")[0])
    except (OSError, ValueError):
        return "nobody"  # it has gone already
    if not isinstance(address, IPv6Address) or address.is_loopback:
        return text
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ip_network((address, 64), strict=False))


def _too_many(why: str, key: str) -> bytes:
    body = encode(ErrorAnswer(f"{why} ({key}); try again later"))
    return (
        b"HTTP/1.1 503 Service Unavailable\r\n"
        b"content-type: application/json\r\ncontent-length: %d\r\n"
        b"retry-after: 1\r\nconnection: close\r\n\r\n%s" % (len(body), body)
    )

"""Sends requests, each over a connection that has waited, or over a new one."""

from __future__ import annotations

from collections import deque

import trio

from oq.backends.http1.arrivals import Arrivals
from oq.backends.http1.connection import Connection, Origin, connect
from oq.backends.http1.errors import Lost
from oq.backends.http1.exchange import Exchange, Use
from oq.backends.http1.request import Body, Fields, OwnFields, Request, Target

KEPT_FOR = 1.0
"""Seconds that an idle connection is kept: less than any server keeps it, so that no request meets
its end. Gunicorn closes it after 2, uvicorn, Node and llama.cpp after 5.
"""
KEPT_CONNECTIONS = 64
"""Idle connections that are kept: as many as calls run at once at most servers. Each is an open
file."""


class Client:
    """`fields` are the headers that each request has, unless its caller says another thing.
    `connect_timeout` is in seconds.
    """

    def __init__(self, fields: Fields, connect_timeout: float) -> None:
        self._own = OwnFields(fields)
        self._connect_timeout = connect_timeout
        self._pool = Pool()
        self._arrivals = Arrivals()

    async def send(
        self, method: bytes, target: Target, fields: Fields, body: Body, use: Use
    ) -> None:
        """Send a request, and let `use` take the answer.

        Unreachable or Lost. A request is sent once more, over a new connection, if its head could
        not be written, so that the server has not taken it; or if it only reads (GET, HEAD) and
        was lost on a connection that had waited, which the server may have closed in that moment.
        Whatever else goes wrong is the end: the request may be the cause.
        """
        request = Request(method, target, self._own, fields, body)
        try:
            return await self._send(request, use, self._pool.take(target.origin))
        except Lost as error:
            if not (error.unsent or (error.stale and request.only_reads)):
                raise
        return await self._send(request, use, None)

    @property
    def has_open(self) -> bool:
        """Whether the connection that was used last waits, and its server has left it open."""
        return self._pool.has_open

    def close(self) -> None:
        """Close the connections that wait, and those in use at the ends of their answers."""
        self._pool.close()

    async def _send(self, request: Request, use: Use, waited: Connection | None) -> None:
        """Send it over a connection that has `waited`; None: over a new one."""
        connection = waited or await connect(request.target.origin, self._connect_timeout)
        exchange = Exchange(request, connection, use, self._arrivals)
        try:
            await exchange.run()
        except Lost as error:
            error.stale = waited is not None and not exchange.answered
            raise
        finally:
            if exchange.end():
                self._pool.keep(connection)


class Pool:
    """Connections that wait for the next request, the one that was used last on the right.

    What it does for a request does not grow with how many wait: only the one that is taken is
    looked at, and each that is too old is closed once.
    """

    def __init__(self) -> None:
        self._idle: deque[Connection] = deque()
        self._closed = False

    def take(self, origin: Origin) -> Connection | None:
        """One that leads there and that its server has left open; or none."""
        now = trio.current_time()
        while self._idle:
            connection = self._idle.pop()
            if connection.origin == origin and connection.kept_until > now and connection.is_idle:
                return connection
            connection.close()
        return None

    def keep(self, connection: Connection) -> None:
        """Its answer is whole, and its server leaves it open."""
        if self._closed:
            connection.close()
            return
        now = trio.current_time()
        connection.kept_until = now + KEPT_FOR
        self._idle.append(connection)
        while self._idle[0].kept_until <= now or len(self._idle) > KEPT_CONNECTIONS:
            self._idle.popleft().close()

    @property
    def has_open(self) -> bool:
        """Whether the connection that was kept last waits, and its server has left it open."""
        return bool(self._idle) and self._idle[-1].is_idle

    def close(self) -> None:
        """Close all of them, and those that come later."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()

"""Sends requests, each over a connection that has waited, or over a new one."""

from __future__ import annotations

from oq.backends.http1.connect import connect
from oq.backends.http1.errors import Lost
from oq.backends.http1.exchange import Exchange, Use
from oq.backends.http1.pool import Pool
from oq.backends.http1.request import Body, Fields, OwnFields, Request, Target


class Client:
    """`fields` are the headers that each request has, unless its caller says another thing.
    `connect_timeout` is in seconds.
    """

    def __init__(self, fields: Fields, connect_timeout: float) -> None:
        self._own = OwnFields(fields)
        self._connect_timeout = connect_timeout
        self._pool = Pool()

    async def send(
        self, method: bytes, target: Target, fields: Fields, body: Body, use: Use
    ) -> None:
        """Send a request, and let `use` take the answer.

        Unreachable or Lost. A request whose head could not be written was not taken by the server,
        and is sent once more. Whatever else goes wrong is the end: the request may be the cause.
        """
        request = Request(method, target, self._own, fields, body)
        try:
            return await self._send(request, use)
        except Lost as error:
            if not error.unsent:
                raise
        return await self._send(request, use)

    @property
    def has_open(self) -> bool:
        """Whether the connection that was used last waits, and its server has left it open."""
        return self._pool.has_open

    def close(self) -> None:
        """Close the connections that wait, and those in use at the ends of their answers."""
        self._pool.close()

    async def _send(self, request: Request, use: Use) -> None:
        waited = self._pool.take(request.target.origin)
        connection = waited or await connect(request.target.origin, self._connect_timeout)
        exchange = Exchange(request, connection, use)
        try:
            await exchange.run()
        except Lost as error:
            error.stale = waited is not None and not exchange.answered
            raise
        finally:
            if exchange.end():
                self._pool.keep(connection)

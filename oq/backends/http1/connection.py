"""One connection to a server, over which one request goes at a time."""

from __future__ import annotations

import os
from typing import NamedTuple

import trio

from oq.backends.http1.errors import Lost, words

RECEIVED_AT_ONCE = 64 * 1024
"""Bytes. They are read as one piece."""


class Origin(NamedTuple):
    """Where a server is: whom a connection leads to. `netloc` is what the header Host says."""

    tls: bool
    host: str
    port: int
    netloc: bytes


class Connection:
    """`stream` is what is spoken over, `socket` what is below: the same, unless there is TLS."""

    def __init__(
        self, origin: Origin, stream: trio.abc.Stream, socket: trio.socket.SocketType
    ) -> None:
        self.origin = origin
        self.kept_until = 0.0  # in trio's time; written and read by the pool
        self._stream = stream
        self._socket = socket

    @property
    def is_idle(self) -> bool:
        """Whether it is open, and the server has said nothing on it that nobody has read."""
        return self._socket.fileno() >= 0 and not self._socket.is_readable()

    async def send(self, data: bytes) -> None:
        """Write all of it, or raise Lost."""
        try:
            await self._stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise Lost(words(error)) from None

    async def receive(self) -> bytes:
        """What has come, and at least one byte; none once the server has ended. Or Lost."""
        try:
            if self.origin.tls:
                return bytes(await self._stream.receive_some(RECEIVED_AT_ONCE))
            return await self._read()
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise Lost(words(error)) from None

    async def _read(self) -> bytes:
        """The same without TLS. It is waited for at once: the stream would ask before, for what is
        hardly ever there yet.
        """
        number = self._socket.fileno()
        if number < 0:
            raise trio.ClosedResourceError("the connection was closed")
        while True:
            await trio.lowlevel.wait_readable(number)
            try:
                return os.read(number, RECEIVED_AT_ONCE)
            except BlockingIOError:
                pass  # it was nothing after all

    def close(self) -> None:
        """Close it at once: no goodbye is said in TLS, which could wait for the server."""
        self._socket.close()

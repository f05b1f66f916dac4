"""One connection to a server, over which one request goes at a time, and how it is opened: a name,
an address that answers, and TLS where that is asked for.
"""

from __future__ import annotations

import os
import ssl
from contextlib import suppress
from fcntl import ioctl
from functools import cache
from socket import SO_LINGER, SOL_SOCKET
from struct import Struct
from termios import TIOCOUTQ
from typing import NamedTuple

import trio

from oq.backends.http1.arrivals import HAS_EPOLL, RECEIVED_AT_ONCE, Arrivals, Came
from oq.backends.http1.errors import Lost, Unreachable, words
from oq.words.durations import format_duration

_INT = Struct("i")
_NOTHING_LINGERS = Struct("ii").pack(1, 0)
"""For SO_LINGER: to close drops what has not been sent, and resets the connection."""


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
        """Write all of it, or raise Lost. There is no checkpoint if the kernel takes it at once:
        whoever sends waits for the answer next.
        """
        sent = 0 if self.origin.tls else self._send_at_once(data)
        if sent == len(data):
            return
        try:
            await self._stream.send_all(memoryview(data)[sent:])
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise Lost(words(error)) from None

    def _send_at_once(self, data: bytes) -> int:
        """How many of the bytes the kernel takes without being waited for: nearly always all."""
        try:
            return os.write(self._socket.fileno(), data)
        except OSError:
            return 0  # it would block, or the server has gone: for `send_all` to find out

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

    async def pour(self, arrivals: Arrivals, came: Came) -> None:
        """Give `came` what comes, until it has all that it waits for. Lost, and whatever `came`
        raises.
        """
        if self.origin.tls or not HAS_EPOLL:
            while not came(await self.receive()):
                pass
            return
        try:
            await arrivals.read(self._socket.fileno(), came)
        except OSError as error:
            raise Lost(words(error)) from None

    def close(self) -> None:
        """Close it at once: no goodbye is said in TLS, which could wait for the server."""
        self._socket.close()

    def cut(self) -> None:
        """Close it in the midst of an exchange. If the server has not taken all that was sent, it
        is told by a reset: an end would stand behind the rest, for which the kernel may hold
        megabytes, and a server that does not read would not notice.
        """
        with suppress(OSError, ValueError):  # it was closed before
            untaken = ioctl(self._socket.fileno(), TIOCOUTQ, bytes(_INT.size))
            if any(untaken):
                self._socket.setsockopt(SOL_SOCKET, SO_LINGER, _NOTHING_LINGERS)
        self.close()


async def connect(origin: Origin, seconds: float) -> Connection:
    """A connection to the server there, within so many seconds for all of it. Or Unreachable."""
    try:
        with trio.fail_after(seconds):
            return await _connect(origin)
    except trio.TooSlowError:
        raise Unreachable(f"no connection within {format_duration(seconds)}") from None
    # A host that the name system cannot hold is a ValueError of the codec for it.
    except (OSError, ValueError, trio.BrokenResourceError) as error:
        raise Unreachable(words(error)) from None


async def _connect(origin: Origin) -> Connection:
    # Each address of the name gets its chance, the next one a quarter of a second later.
    stream = await trio.open_tcp_stream(origin.host, origin.port)
    if not origin.tls:
        return Connection(origin, stream, stream.socket)
    try:
        secured = trio.SSLStream(
            stream, _context(), server_hostname=origin.host, https_compatible=True
        )
        await secured.do_handshake()
    except BaseException:
        stream.socket.close()
        raise
    return Connection(origin, secured, stream.socket)


@cache
def _context() -> ssl.SSLContext:
    """What certificates are checked by: httpx's authorities, or those that SSL_CERT_FILE or
    SSL_CERT_DIR name. They take a while to read, so a server without TLS does not need them.
    """
    import httpx

    context = httpx.create_ssl_context()
    context.set_alpn_protocols(["http/1.1"])
    return context

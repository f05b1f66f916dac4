"""Finds out whether a client is there whose request stands still.

While nobody reads on, the end of a connection cannot be seen: it stands behind what the client has
said, and the kernels of both sides hold megabytes of that. But a client that has closed answers
whatever it is sent with a reset. So it is sent the next byte of its response. All responses begin
with the same bytes, so this can be done before anybody knows what the response will be, and to a
client that is there it is the beginning of it.
"""

from __future__ import annotations

import os
from contextlib import suppress

import trio

BEGINNING = b"HTTP/1.1 "
"""With this each response begins."""
LOOK = 1.0
"""Seconds between two looks."""
ASKED_AT = frozenset({2, 4, 7, 11, 16, 24, 34, 44, 54})
"""Looks, of those since the last byte was read, after which the client is sent a byte. Those of one
request together are as many as `BEGINNING` has.
"""


class Asking:
    """Asks the client at the other end of `socket`, during one request."""

    def __init__(self, socket: trio.socket.SocketType) -> None:
        self._socket = socket
        self._looks = 0
        self._said = 0
        self._all = trio.CancelScope()

    def goes_on(self) -> None:
        """More of the request is read."""
        self._looks = 0

    def rest(self, response: bytes) -> bytes:
        """Ask no more: the response begins. What of it has not been sent."""
        self._all.cancel()
        return response[self._said :]

    async def run(self, scope: trio.CancelScope) -> None:
        """Cancel the scope when the client has left."""
        with self._all:
            while not self._is_gone():
                await trio.sleep(LOOK)
                self._looks += 1
                # Where nothing is left to be read, the end of the connection is seen as it comes.
                if self._looks in ASKED_AT and self._socket.is_readable():
                    self._ask()
            scope.cancel()

    def _ask(self) -> None:
        with suppress(OSError):  # it has gone, which is seen next
            self._said += os.write(self._socket.fileno(), BEGINNING[self._said : self._said + 1])

    def _is_gone(self) -> bool:
        try:
            error = self._socket.getsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_ERROR)
        except OSError:
            return True  # closed on this side
        return error != 0

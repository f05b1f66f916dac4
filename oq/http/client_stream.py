"""The bytes of one client's connection: what it says, and what it is sent. Every wait is bounded.

While a request is answered somebody has to notice that its client has left. So from the first
request on for which that is asked, a task of its own reads what the client says, ahead of those who
take it. That is cheaper than a task for each request. So a client is noticed to leave even when it
has begun its next request, or has said a few bytes too many. One that says more than `MAX_RECEIVE`
before it has been answered has to wait. After `PATIENCE` the rest of what it says is read and
dropped, for its leaving stands behind that; then the connection ends behind what was kept, which
HTTP allows for requests that were sent before their turn (RFC 9112, 9.3.2).
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from math import inf

import structlog
import trio

from oq.http.unsent import Unsent

log = structlog.get_logger()

MAX_RECEIVE = 64 * 1024
PIECE = 256 * 1024
SEND_TIMEOUT = 30.0
"""Seconds in which a client must take a piece of an answer."""
PATIENCE = 5.0
"""Seconds that a client waits which says too much before it has been answered."""
LINGER = 2.0
"""Seconds for which what a client still sends is dropped, so that it can read the answer."""

Spawn = Callable[[Callable[[], Awaitable[None]]], None]

_GONE = (trio.BrokenResourceError, trio.ClosedResourceError)


class ClientStream:
    """A client's connection. `spawn` runs a task for as long as the connection is served. In
    `unsent` is counted what its client does not read.
    """

    def __init__(self, stream: trio.SocketStream, spawn: Spawn, unsent: Unsent) -> None:
        self._stream = stream
        self._socket = stream.socket
        self._spawn = spawn
        self._unsent = unsent
        self._reads_ahead = False
        self._ahead = b""  # what has been read, and not been received yet
        self._ended = False  # the client says no more
        self._drops = False  # what the client still says is dropped
        self._came = trio.lowlevel.ParkingLot()  # here `receive` waits for the reader
        self._taken = trio.lowlevel.ParkingLot()  # here the reader waits for room
        self._owed = b""  # what `send_nowait` could not send
        self._watched: trio.CancelScope | None = None

    async def receive(self, most: int) -> bytes:
        """What the client says next; empty when it has gone, or says no more."""
        if not self._reads_ahead:
            return await self._read(most)
        while not (self._ahead or self._ended or self._drops):
            await self._came.park()
        data, self._ahead = self._ahead[:most], self._ahead[most:]
        self._taken.unpark()
        return data

    def watch(self, scope: trio.CancelScope) -> None:
        """Cancel the scope when the client leaves. One that says no more has left: the clients of
        Ollama and OpenAI have no other way to cancel.
        """
        self._watched = scope
        if self._ended:
            scope.cancel()
        elif not self._reads_ahead:
            self._reads_ahead = True
            self._spawn(self._read_ahead)
        elif len(self._ahead) >= MAX_RECEIVE:
            self._taken.unpark()  # the reader's patience begins

    def unwatch(self) -> None:
        """The request has been answered."""
        self._watched = None
        if len(self._ahead) >= MAX_RECEIVE:
            self._taken.unpark()  # its patience with the next request is another one

    async def _read_ahead(self) -> None:
        while not self._ended:
            data = await self._read(MAX_RECEIVE, ahead=True)
            self._ended = not data
            if not self._drops:
                self._ahead += data
            if self._ended and self._watched is not None:
                self._watched.cancel()
            self._came.unpark()

    async def _read(self, most: int, *, ahead: bool = False) -> bytes:
        """What comes next. It is waited for at once: the stream would ask before, for what is
        hardly ever there yet. `ahead`: with what was read before, and not taken, it is no more.
        """
        while True:
            try:
                await trio.lowlevel.wait_readable(self._socket)
                if ahead and len(self._ahead) >= most:
                    await self._wait_for_room(most)
                room = most if self._drops or not ahead else most - len(self._ahead)
                return os.read(self._socket.fileno(), room)
            except BlockingIOError:
                pass  # it was nothing after all
            except (OSError, ValueError, *_GONE):
                return b""  # reset by the client, or closed by `abort`

    async def _wait_for_room(self, most: int) -> None:
        """Return when less is left ahead, or when it is in vain: the request that is answered has
        been read, so nobody takes more until it has its response.
        """
        while len(self._ahead) >= most and not self._drops:
            patience = inf if self._watched is None else PATIENCE
            with trio.move_on_after(patience) as scope:
                await self._taken.park()
            self._drops = scope.cancelled_caught and self._watched is not None

    async def send(self, data: bytes) -> bool:
        """Whether the client took them. Only one task may send at a time."""
        if self._owed:
            data, self._owed = self._owed + data, b""
        sent = self._send_at_once(data)
        return sent == len(data) or await self._send_slowly(data, sent)

    def send_nowait(self, data: bytes) -> bool:
        """Send what the client takes without being waited for. The rest is owed: the next `send`
        begins with it. Whether nothing is. Not to be called while another task sends.
        """
        if self._owed:
            self._owed += data
        elif (sent := self._send_at_once(data)) < len(data):
            self._owed = data[sent:]
        return not self._owed

    @property
    def owes(self) -> bool:
        """Whether `send_nowait` has left something to be sent."""
        return bool(self._owed)

    def _send_at_once(self, data: bytes) -> int:
        """How many of the bytes the kernel takes without being waited for: nearly always all, for
        a third of what waiting costs. No checkpoint, which those who have many pieces to send
        pass when they fetch the next one.
        """
        try:
            return os.write(self._socket.fileno(), data)
        except OSError:
            return 0  # it would block, or the client has gone: for `send_all` to find out

    async def _send_slowly(self, data: bytes, sent: int) -> bool:
        view = memoryview(data)
        # The shield: half a frame cannot be taken back, so a cancelled handler finishes it.
        with trio.CancelScope(shield=True) as scope, self._unsent.hold(data, self._cut) as sending:
            for start in range(sent, len(view), PIECE):
                scope.deadline = trio.current_time() + SEND_TIMEOUT
                try:
                    await self._stream.send_all(view[start : start + PIECE])
                except _GONE:
                    return False
                sending.note_taken()
        if scope.cancelled_caught:
            log.info("client stopped reading; its connection is closed")
            self.abort()
        return not scope.cancelled_caught

    def _cut(self) -> None:
        log.info("client reads too slowly for the memory that answers take; its connection is cut")
        self.abort()

    async def linger(self) -> None:
        """Let the client read the last answer: closing with unread data would throw it away."""
        with trio.move_on_after(LINGER):
            try:
                await self._stream.send_eof()
            except (*_GONE, trio.BusyResourceError):
                return
            while await self.receive(MAX_RECEIVE):
                pass
            while self._drops and not self._ended:
                await self._came.park()

    def abort(self) -> None:
        """End it at once, whatever it is doing."""
        self._socket.close()

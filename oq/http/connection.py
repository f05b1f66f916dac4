"""One client's connection: `oq.http.http1` over a stream whose every wait is bounded.

It stands in for `hypercorn.trio.tcp_server.TCPServer`, which leaves open what is bounded here:

- It sends under a shield without a limit, so a client that stops reading would hold its task, and
  with it the shutdown, for ever. Here each piece has `SEND_TIMEOUT`.
- An error in a protocol (a WebSocket handshake with a header that is not ASCII is enough) leaves
  the connection and takes the whole server along. Here it ends that connection.
- It closes while a body is still coming in, which makes the kernel throw away the answer that
  said why. Here what still comes is read and dropped for a moment first.
- A WebSocket message that is too long is refused, but goes on being buffered. Here a subscriber,
  who has nothing to say, may say so much in all.
- A handshake that it refuses, or a message that is too long, leaves the connection open, with
  nothing to end it. Here it is ended.
- It starts and stops a task around each request to time the idle connection; a deadline does.

Between two requests of HTTP/1.1 the connection looks whether the next one is for the fast path
(`oq.http.fast_path`). Such a request it answers by itself, and Hypercorn never sees its bytes.
"""

from __future__ import annotations

import os
from math import inf
from typing import Any

import structlog
import trio
from hypercorn.config import Config as HyperConfig
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.trio.task_group import TaskGroup
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import AppWrapper, ConnectionState
from hypercorn.utils import parse_socket_addr
from werkzeug.exceptions import BadRequest, RequestTimeout

from oq.http.asgi import BodyPace
from oq.http.fast_path import FastPath, FastRequest, to_bytes
from oq.http.http1 import Http1
from oq.http.inflight import Held
from oq.words.errors import Unavailable

log = structlog.get_logger()

MAX_RECEIVE = 64 * 1024
PIECE = 256 * 1024
SEND_TIMEOUT = 30.0
"""Seconds in which a client must take a piece of an answer."""
LINGER = 2.0
"""Seconds for which what a client still sends is dropped, so that it can read the answer."""
MAX_HEARD = 1024 * 1024
"""Bytes that a WebSocket peer may send in the life of its connection: pings and a farewell."""

_GONE = (trio.BrokenResourceError, trio.ClosedResourceError)


class Connection:
    """Serves one connection to its end; see the module for what it adds to Hypercorn."""

    def __init__(
        self,
        app: AppWrapper,
        fast_path: FastPath,
        config: HyperConfig,
        context: WorkerContext,
        stream: trio.SocketStream,
    ) -> None:
        self._app = app
        self._fast_path = fast_path
        self._config = config
        self._context = context
        self._stream = stream
        self._client: tuple[str, int] | None = None
        self._sending = trio.Lock()
        self._all = trio.CancelScope()
        self._reading = trio.CancelScope()  # its deadline is the end of an idle connection
        self._idle = True
        self._ending = False
        self._heard = 0

    async def serve(self) -> None:
        """Return when the connection has ended, however it did."""
        try:
            with self._all:
                await self._run()
        except OSError:
            pass  # the client was gone before it could be asked for its address
        except Exception as error:
            # One broken connection must not end the others.
            log.warning("connection failed", error=repr(error)[:200])
            log.debug("connection failed", exc_info=error)
        finally:
            await trio.aclose_forcefully(self._stream)

    def abort(self) -> None:
        """End it at once, whatever it is doing."""
        self._stream.socket.close()

    async def send_text(self, text: bytes) -> None:
        """Send a WebSocket text frame, past all that makes of each frame what was made of the last.

        Only for a connection that has become a WebSocket. One that is closing takes no more.
        """
        if not self._protocol.is_open_websocket:
            await trio.lowlevel.checkpoint()
        elif not await self._send_bytes(_text_head(len(text)) + text):
            await self._protocol.handle(Closed())

    async def send_chunk(self, data: bytes) -> None:
        """Send a piece of a body, likewise past h11, in the chunked coding of RFC 9112, 7.1.

        Only for an answer without a length that has begun, over HTTP/1.1; its end is left to h11,
        which the pieces do not concern. One whose client has gone takes no more.
        """
        if not self._protocol.is_sending_body:
            await trio.lowlevel.checkpoint()
        elif not await self._send_bytes(b"%x\r\n%b\r\n" % (len(data), data)):
            await self._protocol.handle(Closed())

    def end_if_idle(self) -> None:
        """End it, unless it has a request under way."""
        if self._idle:
            self._reading.cancel()

    async def _run(self) -> None:
        socket = self._stream.socket
        self._client = parse_socket_addr(socket.family, socket.getpeername())
        server = parse_socket_addr(socket.family, socket.getsockname())
        async with TaskGroup() as group:
            self._protocol = Http1(
                self._app,
                self._config,
                self._context,
                group,
                ConnectionState({"connection": self}),
                False,
                self._client,
                server,
                self._send,
            )
            await self._protocol.initiate()
            await self._converse()
            # What is left are handlers of a client that has gone, and Hypercorn's pings.
            self._all.cancel()

    async def _converse(self) -> None:
        """Feed the protocol with what the client says, until either side ends."""
        self._rest()
        with self._reading:
            await self._feed()
        if self._ending and not self._protocol.is_websocket:  # that peer says nothing, and waits
            await self._linger()
        with trio.move_on_after(LINGER):
            await self._protocol.handle(Closed())

    async def _feed(self) -> None:
        data = b"-"
        while data:
            data = await self._receive(MAX_RECEIVE)
            if self._protocol.is_websocket:
                self._heard += len(data)
                if self._heard > MAX_HEARD:
                    log.info("websocket peer sent too much; its connection is closed")
                    return
            rest = await self._overtake(data)
            if rest or not data:
                await self._protocol.handle(RawData(rest))
                self._ending = self._ending or self._protocol.is_refused_websocket
                if self._protocol.is_closing_websocket:  # it was told why; it need not answer
                    self._reading.deadline = trio.current_time() + LINGER
            if self._ending:
                return

    async def _overtake(self, data: bytes) -> bytes:
        """Answer the plain requests that `data` begins with; what is left of it is Hypercorn's."""
        while data and (taken := self._take(data)) is not None:
            if self._reading.cancel_called:  # too late by a moment; it would cancel the handler
                self._ending = True
                return b""
            await self._serve_plain(taken, data)
            data = b"" if self._ending else data[taken.head.end :]
            if data:
                await trio.lowlevel.checkpoint()  # there may be hundreds in one piece
        return data

    def _take(self, data: bytes) -> FastRequest | None:
        """The request for the fast path that `data` begins with, if it is one's turn."""
        if not self._protocol.is_between_requests:
            return None
        return self._fast_path.take(data, self._client)

    async def _serve_plain(self, taken: FastRequest, data: bytes) -> None:
        """Answer the request that `data` begins with."""
        self._work()
        begun, head = trio.current_time(), taken.head
        with self._fast_path.inflight.hold() as held:
            try:
                start = data[head.start : head.end]
                body = await self._whole_body(start, head.end - head.start, held)
            except (BadRequest, RequestTimeout, Unavailable) as error:
                answer, last = self._fast_path.refuse(taken, error), True
            else:
                answer, last = (
                    await self._fast_path.answer(taken, body),
                    self._protocol.count_request(),
                )
                del body
        more = self._config.response_headers("h11")
        if last:
            more.append((b"connection", b"close"))
        sent = await self._send_bytes(to_bytes(answer, taken.request.verdict.origin, more))
        told: Any = {"status": answer.status}
        await self._config.log.access(taken.request.scope, told, trio.current_time() - begun)
        if last or not sent or self._context.terminated.is_set():
            self._ending = True
        else:
            self._rest()

    async def _whole_body(self, body: bytes, length: int, held: Held) -> bytes:
        """The body of which this much is there. RequestTimeout; BadRequest when the client goes;
        Unavailable when all bodies together have too many bytes.
        """
        held.add(len(body))
        missing = length - len(body)
        if not missing:
            return body
        parts = [body]
        pace = BodyPace()
        with pace.scope:
            while missing:
                # Not a byte more: that would be the next request's.
                part = await self._receive(min(missing, MAX_RECEIVE))
                if not part:
                    raise BadRequest("the connection ended before the body did")
                held.add(len(part))
                pace.came(len(part))
                parts.append(part)
                missing -= len(part)
            return b"".join(parts)
        raise RequestTimeout

    async def _linger(self) -> None:
        """Let the client read the last answer: closing with unread data would throw it away."""
        with trio.move_on_after(LINGER):
            try:
                await self._stream.send_eof()
                while await self._stream.receive_some(MAX_RECEIVE):
                    pass
            except (*_GONE, trio.BusyResourceError):
                pass

    async def _send(self, event: Event) -> None:
        """What the protocol has to say: bytes, whether it is idle, or that it is done."""
        if isinstance(event, RawData):
            if event.data and not await self._send_bytes(event.data):
                await self._protocol.handle(Closed())
        elif isinstance(event, Updated):
            if event.idle:
                self._rest()
            else:
                self._work()
        elif isinstance(event, Closed):
            self._ending = True
            self._reading.cancel()
            await self._protocol.handle(Closed())

    async def _send_bytes(self, data: bytes) -> bool:
        """Whether the client took them."""
        try:
            self._sending.acquire_nowait()
        except trio.WouldBlock:
            await self._sending.acquire()
        try:
            sent = self._send_at_once(data)
            return sent == len(data) or await self._send_slowly(memoryview(data)[sent:])
        finally:
            self._sending.release()

    def _send_at_once(self, data: bytes) -> int:
        """How many of the bytes the kernel takes without being waited for: nearly always all, for
        a third of what waiting costs. No checkpoint, which those who have many pieces to send
        pass when they fetch the next one.
        """
        try:
            return os.write(self._stream.socket.fileno(), data)
        except OSError:
            return 0  # it would block, or the client has gone: for `send_all` to find out

    async def _send_slowly(self, view: memoryview) -> bool:
        # The shield: half a frame cannot be taken back, so a cancelled handler finishes it.
        with trio.CancelScope(shield=True) as scope:
            for start in range(0, len(view), PIECE):
                scope.deadline = trio.current_time() + SEND_TIMEOUT
                try:
                    await self._stream.send_all(view[start : start + PIECE])
                except _GONE:
                    return False
        if scope.cancelled_caught:
            log.info("client stopped reading; its connection is closed")
            self.abort()
        return not scope.cancelled_caught

    async def _receive(self, most: int) -> bytes:
        """What the client says next; empty when it has gone, or says no more.

        It is waited for at once: the stream would ask before, for what is hardly ever there yet.
        """
        socket = self._stream.socket
        while True:
            try:
                await trio.lowlevel.wait_readable(socket)
                return os.read(socket.fileno(), most)
            except BlockingIOError:
                pass  # it was nothing after all
            except (OSError, ValueError, *_GONE):
                return b""  # reset by the client, or closed by `abort`

    def _work(self) -> None:
        self._idle = False
        self._reading.deadline = inf

    def _rest(self) -> None:
        self._idle = True
        self._reading.deadline = trio.current_time() + self._config.keep_alive_timeout


def _text_head(length: int) -> bytes:
    """The head of an unmasked text frame: RFC 6455, 5.2."""
    if length < 126:
        return bytes((0x81, length))
    if length < 1 << 16:
        return b"\x81\x7e" + length.to_bytes(2, "big")
    return b"\x81\x7f" + length.to_bytes(8, "big")

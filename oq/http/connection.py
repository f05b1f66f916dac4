"""One client's connection: `oq.http.http1` over a stream whose every wait is bounded
(`oq.http.client_stream`).

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
- It starts and stops a task around each request to time the idle connection. Here one task of the
  server looks at all of them (`oq.http.server`).

Between two requests of HTTP/1.1 the connection looks whether the next one is for the fast path
(`oq.http.fast_path`). Such a request it answers by itself, and Hypercorn never sees its bytes.
"""

from __future__ import annotations

from contextlib import suppress
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

from oq.http.client_stream import LINGER, MAX_RECEIVE, ClientStream
from oq.http.fast_path import FastPath, FastRequest
from oq.http.fast_peer import FastPeer, ServerHeaders
from oq.http.http1 import Http1
from oq.http.peer import ClientGone
from oq.http.unsent import Unsent

log = structlog.get_logger()

MAX_HEARD = 1024 * 1024
"""Bytes that a WebSocket peer may send in the life of its connection: pings and a farewell."""


class Connection:
    """Serves one connection to its end; see the module for what it adds to Hypercorn."""

    def __init__(
        self,
        app: AppWrapper,
        fast_path: FastPath,
        config: HyperConfig,
        headers: ServerHeaders,
        context: WorkerContext,
        stream: trio.SocketStream,
        unsent: Unsent,
    ) -> None:
        self._app = app
        self._fast_path = fast_path
        self._config = config
        self._headers = headers
        self._context = context
        self._socket = stream.socket
        self._group = TaskGroup()
        self._stream = ClientStream(stream, self._group.spawn, unsent)
        self._client: tuple[str, int] | None = None
        self._server: tuple[str, int] | None = None
        self._sending = trio.Lock()
        self._all = trio.CancelScope()
        self._reading = trio.CancelScope()
        self.idle_since = trio.current_time()
        """Infinite while a request is under way. Written here, and read by the server."""
        self._ending = False
        self._heard = 0
        self._data = b""  # what has come, and nobody has read yet

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
            self.abort()

    def abort(self) -> None:
        """End it at once, whatever it is doing."""
        self._stream.abort()

    async def send_text(self, text: bytes) -> None:
        """Send a WebSocket text frame, past all that makes of each frame what was made of the last.

        Only for a connection that has become a WebSocket. One that is closing takes no more.
        """
        if not self._protocol.is_open_websocket:
            await trio.lowlevel.checkpoint()
        elif not await self._send_bytes(_text_head(len(text)) + text):
            await self._protocol.handle(Closed())

    def end_if_idle(self) -> None:
        """End it, unless it has a request under way."""
        if self.idle_since < inf:
            self._reading.cancel()

    async def _run(self) -> None:
        family = self._socket.family
        self._client = parse_socket_addr(family, self._socket.getpeername())
        self._server = parse_socket_addr(family, self._socket.getsockname())
        async with self._group as group:
            self._protocol = Http1(
                self._stream,
                self._app,
                self._config,
                self._context,
                group,
                ConnectionState({"connection": self}),
                False,
                self._client,
                self._server,
                self._send,
            )
            await self._protocol.initiate()
            await self._converse()
            # What is left are handlers of a client that has gone, and Hypercorn's pings.
            self._all.cancel()

    async def _converse(self) -> None:
        """Feed the protocol with what the client says, until either side ends."""
        self._rest()
        with self._reading, suppress(ClientGone):
            await self._feed()
        if self._ending and not self._protocol.is_websocket:  # that peer says nothing, and waits
            await self._stream.linger()
        with trio.move_on_after(LINGER):
            await self._protocol.handle(Closed())

    async def _feed(self) -> None:
        told = True
        while told and not self._ending:
            self._data = await self._receive(MAX_RECEIVE)
            told = bool(self._data)
            if self._protocol.is_websocket:
                self._heard += len(self._data)
                if self._heard > MAX_HEARD:
                    log.info("websocket peer sent too much; its connection is closed")
                    return
            await self._overtake()
            if self._data or not told:
                await self._hand_over()

    async def _hand_over(self) -> None:
        """The rest is Hypercorn's."""
        data, self._data = self._data, b""
        await self._protocol.handle(RawData(data))
        self._ending = self._ending or self._protocol.is_refused_websocket
        if self._protocol.is_closing_websocket:  # it was told why; it need not answer
            self._reading.deadline = trio.current_time() + LINGER

    async def _overtake(self) -> None:
        """Answer the requests for the fast path that come next."""
        while self._data and (taken := self._take()) is not None:
            if self._reading.cancel_called:  # too late by a moment; it would cancel the handler
                self._ending = True
            else:
                await self._serve_fast(taken)
            if self._ending:
                self._data = b""
            elif self._data:
                await trio.lowlevel.checkpoint()  # there may be hundreds in one piece

    def _take(self) -> FastRequest | None:
        """The next request, if it is one for the fast path, and its turn."""
        if not self._protocol.is_between_requests:
            return None
        return self._fast_path.take(self._data, self._client, self._server)

    async def _serve_fast(self, taken: FastRequest) -> None:
        """Answer the next request. Its body is held by those only who read it: the response may
        take hours.
        """
        self._work()
        begun = trio.current_time()
        peer = FastPeer(
            self._stream,
            taken.head,
            self._data,
            origin=taken.request.verdict.origin,
            server=self._headers,
            count=self._protocol.count_request,
        )
        self._data = self._data[taken.head.end + taken.head.length :]
        try:
            await taken.serve(taken.request, peer)
        except ClientGone:
            pass
        finally:
            self._stream.unwatch()
        told: Any = {"status": peer.status} if peer.begun else None
        await self._config.log.access(taken.request.scope, told, trio.current_time() - begun)
        if peer.last or not peer.whole or self._context.terminated.is_set():
            self._ending = True
        else:
            self._rest()

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
        """Whether the client took them. For WebSockets more than one task sends."""
        try:
            self._sending.acquire_nowait()
        except trio.WouldBlock:
            await self._sending.acquire()
        try:
            return await self._stream.send(data)
        finally:
            self._sending.release()

    async def _receive(self, most: int) -> bytes:
        return await self._stream.receive(most)

    def _work(self) -> None:
        self.idle_since = inf

    def _rest(self) -> None:
        self.idle_since = trio.current_time()


def _text_head(length: int) -> bytes:
    """The head of an unmasked text frame: RFC 6455, 5.2."""
    if length < 126:
        return bytes((0x81, length))
    if length < 1 << 16:
        return b"\x81\x7e" + length.to_bytes(2, "big")
    return b"\x81\x7f" + length.to_bytes(8, "big")

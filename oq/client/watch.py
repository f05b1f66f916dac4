"""The events of a server over WebSocket, under trio."""

from __future__ import annotations

import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Self

import h11
import httpx
import trio
from trio_websocket import (
    ConnectionClosed,
    ConnectionRejected,
    WebSocketConnection,
    wrap_client_stream,
)

from oq.client.address import DEFAULT_SERVER, server_url
from oq.client.failures import garbled, reason, refusal
from oq.client.follow import FrameFollower
from oq.client.retries import PATIENCE
from oq.client.task_groups import leaf
from oq.client.urls import making_url
from oq.words.durations import Time, seconds_of
from oq.words.errors import OqError, ServerNotReached, Unavailable
from oq.words.events import Event, Lagged

HANDSHAKE_TIMEOUT = 10.0
"""Seconds for a connection, and for a pong."""
QUIET = 30.0
"""Seconds without an event after which the server is asked whether it is still there."""
MOST_BYTES = 64 * 1024 * 1024
"""Bytes of one frame: all events that a subscriber may have fallen behind come in one."""


@asynccontextmanager
async def watch(
    url: str = DEFAULT_SERVER,
    types: str | Iterable[str] | None = None,
    *,
    task_id: str | None = None,
    after: int | None = None,
    patience: Time = PATIENCE,
) -> AsyncIterator[AsyncIterator[Event | Lagged]]:
    """``async with oq.watch("localhost:7125") as events: async for event in events: ...``

    The events of the server at `url`, from now on, over WebSocket and under trio. `types` are the
    types of events to receive; if not given, all except `task_progress`. With `task_id` only the
    events of this task come. With `after` the events after the one with this `seq` come first. If
    the connection is lost, it is made again and continues at the same place. A `Lagged` says how
    many events were missed.

    Entering the block raises InvalidTask and Unavailable. Iterating raises Unavailable if the
    server is away for longer than `patience`.
    """
    if not trio.lowlevel.in_trio_run():
        raise RuntimeError("oq.watch needs trio; under asyncio use oq.AsyncClient.subscribe")
    server = server_url(url)
    follower = FrameFollower(server, seconds_of("patience", patience), types, task_id, after)
    send, receive = trio.open_memory_channel[Event | Lagged](0)
    watching = _Watching(follower, server, send, receive)
    problem: Exception | None = None
    async with trio.open_nursery() as nursery:
        try:
            await nursery.start(watching.run)
            yield watching
        except Exception as error:
            problem = error  # raised below, so that no group is made of it
        nursery.cancel_scope.cancel()
    if problem is not None:
        raise problem


class _Watching:
    """Reads frames and passes their events on to who iterates."""

    def __init__(
        self,
        follower: FrameFollower,
        server: str,
        send: trio.MemorySendChannel[Event | Lagged],
        receive: trio.MemoryReceiveChannel[Event | Lagged],
    ) -> None:
        self._follower = follower
        self._server = server
        self._send = send
        self._receive = receive
        self._error: OqError | None = None
        self._begun = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event | Lagged:
        try:
            return await self._receive.receive()
        except trio.EndOfChannel:
            assert self._error is not None
            raise self._error from None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """It is started once the server has sent its first frame. An error before that is raised
        here. An error after that is raised by the iteration.
        """
        with self._send, self._receive:
            try:
                while True:
                    try:
                        await self._connection(task_status)
                    except Unavailable as trouble:
                        if not self._begun:
                            raise
                        await trio.sleep(self._follower.lost(trouble, time.monotonic()))
            except OqError as error:
                if not self._begun:
                    raise
                self._error = error
                await self._send.aclose()
                await trio.sleep_forever()

    async def _connection(self, task_status: trio.TaskStatus[None]) -> None:
        """Read from one connection until it is lost. That raises one of oq's errors."""
        stream, host, target = await self._dial()
        try:
            async with trio.open_nursery() as nursery:
                socket = await self._greet(nursery, stream, host, target)
                await self._pass_on(socket, task_status)
        except BaseExceptionGroup as group:
            raise _as_oqs(leaf(group), self._server) from None
        finally:
            # trio-websocket leaves the socket open when the server closes first, or refuses.
            await trio.aclose_forcefully(stream)

    async def _greet(
        self, nursery: trio.Nursery, stream: _Noticing, host: str, target: str
    ) -> WebSocketConnection:
        with trio.move_on_after(HANDSHAKE_TIMEOUT) as limit:
            stream.on_end = limit.cancel
            return await wrap_client_stream(
                nursery,
                stream,  # type: ignore[arg-type] # any stream will do
                host,
                target,
                max_message_size=MOST_BYTES,
            )
        if stream.ended:
            raise Unavailable(f"{self._server} ended the connection in the WebSocket handshake")
        raise Unavailable(f"{self._server} did not complete the WebSocket handshake in time")

    async def _pass_on(
        self, socket: WebSocketConnection, task_status: trio.TaskStatus[None]
    ) -> None:
        while True:
            frame: str | bytes | None = None
            with trio.move_on_after(QUIET):
                frame = await socket.get_message()
            if frame is None:
                with trio.fail_after(HANDSHAKE_TIMEOUT):
                    await socket.ping()
                continue
            items = self._follower.feed(frame.encode() if isinstance(frame, str) else frame)
            if not self._begun:
                self._begun = True
                task_status.started()
            for item in items:
                await self._send.send(item)

    async def _dial(self) -> tuple[_Noticing, str, str]:
        call = self._follower.call()
        with making_url():
            url = httpx.URL(f"{self._server}/{call.path}", params=call.params)
        secure = url.scheme == "https"
        port = url.port or (443 if secure else 80)
        try:
            with trio.fail_after(HANDSHAKE_TIMEOUT):
                stream = await (_secured if secure else trio.open_tcp_stream)(url.host, port)
        except (OSError, trio.BrokenResourceError, trio.TooSlowError) as error:
            raise _as_oqs(error, self._server) from None
        return _Noticing(stream), url.netloc.decode(), url.raw_path.decode()


async def _secured(host: str, port: int) -> trio.abc.Stream:
    """A connection with TLS. Its handshake is made here: trio-websocket would not tell why it
    failed.
    """
    context = ssl.create_default_context()
    stream = await trio.open_ssl_over_tcp_stream(host, port, ssl_context=context)
    try:
        await stream.do_handshake()
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    return stream


def _as_oqs(error: BaseException, server: str) -> BaseException:
    """The error as one of oq's errors, if it is about the connection."""
    match error:
        case ConnectionRejected(status_code=status, body=body):
            return refusal(httpx.Response(status, content=body or b""), server)
        case ConnectionClosed(reason=close):
            why = close.reason if close is not None and close.reason else "it was cut"
            return Unavailable(f"the connection to {server} was lost: {why}")
        case trio.TooSlowError():
            return Unavailable(f"{server} did not answer in time")
        case OSError() | trio.BrokenResourceError():
            return ServerNotReached(server, reason(error))
        case h11.ProtocolError():
            return garbled(server)
    return error


class _Noticing(trio.abc.Stream):
    """A stream that reports when the other side has ended it. Without it, trio-websocket would wait
    without end if that happens during the handshake.
    """

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self.on_end: Callable[[], None] = _nothing
        self.ended = False

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        data: bytes | bytearray = b""
        try:
            data = await self._stream.receive_some(max_bytes)
        finally:
            if not data:
                self.ended = True
                self.on_end()
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self._stream.aclose()


def _nothing() -> None:
    pass

"""The ordinary way to a handler: an ASGI request, which h11 and Hypercorn have read.

The gateway answers such requests without Quart, and so does the guard when it refuses one. Quart
makes a request object, two contexts and two tasks for each request, which costs more than reading a
body and some headers.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import trio

from oq.http.peer import ClientGone, RawHeaders

Scope = Any
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]

REASON = b"oq-reason"
"""A header of a response that is not sent: the reason phrase of its status line, which ASGI has no
other place for. `oq.http.http1` takes it out."""


class AsgiPeer:
    """The peer of an ASGI request, for a block: ``async with AsgiPeer(...) as peer``."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # "websocket.http" is for a handshake that is refused.
        self._kind = "websocket.http" if scope["type"] == "websocket" else "http"
        self._receive = receive
        self._send = send
        self._whole = False
        self._held = b""  # of the body of the response
        self._beside = trio.open_nursery()
        self.begun = False

    async def __aenter__(self) -> Self:
        self._nursery = await self._beside.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        self._nursery.cancel_scope.cancel()
        return await self._beside.__aexit__(kind, error, trace)

    def at_hand(self) -> bytes | None:
        """As `oq.http.peer.Peer` says; so with the others."""
        return None

    async def part(self) -> bytes | None:
        while not self._whole:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            self._whole = not message.get("more_body", False)
            if part := message.get("body", b""):
                return bytes(part)
        return None

    def watch(self, scope: trio.CancelScope) -> None:
        self._nursery.start_soon(self._wait_gone, scope)

    def discard(self) -> None:
        # A body that nobody takes would block the connection, and with it the response.
        self._nursery.start_soon(self._wait_gone, None)

    async def _wait_gone(self, scope: trio.CancelScope | None) -> None:
        """Drop what comes. When the client has left, cancel the scope."""
        while (await self._receive())["type"] not in ("http.disconnect", "websocket.disconnect"):
            pass
        if scope is not None:
            scope.cancel()

    async def begin(
        self,
        status: int,
        headers: RawHeaders,
        *,
        reason: bytes = b"",
        body: bytes = b"",
        more: bool,
    ) -> None:
        self.begun = True
        sent = [*headers, (REASON, reason)] if reason else list(headers)
        await self._send(
            {"type": f"{self._kind}.response.start", "status": status, "headers": sent}
        )
        if body or not more:
            await self._body(body, more=more)

    async def piece(self, data: bytes) -> None:
        await self._body(data, more=True)

    def piece_nowait(self, data: bytes) -> bool:
        self._held += data
        return False

    async def end(self) -> None:
        await self._body(b"", more=False)

    async def _body(self, data: bytes, *, more: bool) -> None:
        kind = f"{self._kind}.response.body"
        data, self._held = self._held + data, b""
        await self._send({"type": kind, "body": data, "more_body": more})


def target_of(scope: Scope) -> str:
    """The path as it was sent, without its query. ASGI may leave it out; then it is made again."""
    raw: bytes | None = scope.get("raw_path")
    return quote(scope["path"]) if raw is None else raw.decode("ascii", "replace")


def without_body(receive: Receive) -> Receive:
    """A `receive` of a request whose body has been read already, for those who wait for one."""
    first: list[Any] = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive_again() -> Any:
        return first.pop() if first else await receive()

    return receive_again

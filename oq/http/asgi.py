"""Reads ASGI requests and sends responses without Quart.

The gateway uses it, and so does the guard when it refuses a request. Quart makes a request object,
two contexts and two tasks for each request, which costs more than reading a body and some headers.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any
from urllib.parse import quote

import trio
from werkzeug.exceptions import RequestTimeout

from oq.http.inflight import Held
from oq.http.request import Request
from oq.words.errors import PayloadTooLarge

Scope = Any
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
RawHeaders = Iterable[tuple[bytes, bytes]]

REASON = b"oq-reason"
"""A header of a response that is not sent: the reason phrase of its status line, which ASGI has no
other place for. `oq.http.http1` takes it out."""

BODY_TIMEOUT = 60
"""Seconds in which a body must have come, or BODY_PROGRESS bytes more of it, so that a slow sender
does not hold a connection. A large body over a slow line takes longer, and is waited for."""
BODY_PROGRESS = 256 * 1024
"""Bytes of a body for which its sender gets another BODY_TIMEOUT: 4 kB a second."""


class BodyPace:
    """The time that the sender of a body has: `scope` is cancelled when too little comes."""

    def __init__(self) -> None:
        self.scope = trio.CancelScope(deadline=trio.current_time() + BODY_TIMEOUT)
        self._came = 0

    def came(self, size: int) -> None:
        """So many bytes more are here."""
        self._came += size
        if self._came >= BODY_PROGRESS:
            self._came = 0
            self.scope.deadline = trio.current_time() + BODY_TIMEOUT


class ClientGone(Exception):
    """The client disconnected before its request was complete. Nobody waits for a response."""


class BodyReader:
    """Reads the body of a request. `limit` is its largest size in bytes."""

    def __init__(self, request: Request, receive: Receive, limit: int, held: Held) -> None:
        self.held = held
        self.whole = False
        """Whether the body has been read to its end."""
        self._length = request.header(b"content-length")
        self._receive = receive
        self.limit = limit

    async def read(self) -> bytes:
        """The whole body.

        PayloadTooLarge as soon as that is known, RequestTimeout when it does not come, ClientGone;
        Unavailable when all bodies together have too many bytes.
        """
        length = self._length
        if length and length.isascii() and length.isdigit() and int(length) > self.limit:
            raise PayloadTooLarge(self.limit)
        pace = BodyPace()
        with pace.scope:
            return await self._read_all(pace)
        raise RequestTimeout

    async def _read_all(self, pace: BodyPace) -> bytes:
        parts: list[bytes] = []
        size = 0
        while (part := await self.part()) is not None:
            pace.came(len(part))
            size += len(part)
            if size > self.limit:
                raise PayloadTooLarge(self.limit)
            self.held.add(len(part))
            parts.append(part)
        return b"".join(parts)

    async def part(self) -> bytes | None:
        """The next part of the body, for those who read it as it comes; None at its end.

        ClientGone.
        """
        while not self.whole:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            self.whole = not message.get("more_body", False)
            if part := message.get("body", b""):
                return bytes(part)
        return None


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


async def send_response(
    send: Send, kind: str, status: int, headers: RawHeaders, body: bytes
) -> None:
    """Send an answer. `kind` is "http", or "websocket.http" for a refused handshake."""
    await send({"type": f"{kind}.response.start", "status": status, "headers": list(headers)})
    await send({"type": f"{kind}.response.body", "body": body, "more_body": False})


async def refuse(
    scope: Scope, receive: Receive, send: Send, status: int, headers: RawHeaders, body: bytes
) -> None:
    """Answer a request whose body has not been read."""
    headers = [*headers, *unread_body_headers(scope)]
    kind = "websocket.http" if scope["type"] == "websocket" else "http"
    async with trio.open_nursery() as nursery:
        # A body that nobody takes would block the connection, and with it this answer.
        nursery.start_soon(discard_body, receive)
        await send_response(send, kind, status, headers, body)
        nursery.cancel_scope.cancel()


def unread_body_headers(scope: Scope) -> list[tuple[bytes, bytes]]:
    """Headers for the answer to a request whose body has not been read: the connection ends with
    it, for what still comes of that body would be taken for the next request.
    """
    closes = has_body(scope) and scope["http_version"] == "1.1"
    return [(b"connection", b"close")] if closes else []


def has_body(scope: Scope) -> bool:
    """Whether a body follows the head of the request."""
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
        for name, value in scope["headers"]
    )


async def discard_body(receive: Receive) -> None:
    """Read the rest of a body and throw it away."""
    while (await receive())["type"] not in ("http.disconnect", "websocket.disconnect"):
        pass

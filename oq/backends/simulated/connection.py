"""One HTTP/1.1 connection, with full control over how it breaks.

h11 keeps the protocol; the socket is ours, so that a response can stop in the middle of a chunk,
and so that a caller who hangs up is noticed while the answer still waits for its next token.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass
from http import HTTPStatus

import h11
import trio

from oq.backends.simulated.script import Script

MAX_BODY = 64 * 1024 * 1024
"""Bytes of a request's body."""
_READ = 64 * 1024


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request, read whole but for an upload. `path` is without its `query`."""

    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes
    query: str = ""


@dataclass(frozen=True, slots=True)
class ResponseHead:
    """The head of a response."""

    status: int
    reason: str
    headers: list[tuple[str, str]]


def head_of(script: Script | None, status: int, content_type: str, **more: str) -> ResponseHead:
    """The head of a response, as the script wants it. `more` are headers, with _ for -."""
    headers = [(name.replace("_", "-"), value) for name, value in more.items()]
    known = [known.value for known in HTTPStatus]
    reason = HTTPStatus(status).phrase if status in known else ""
    if script is not None:
        content_type = content_type if script.content_type is None else script.content_type
        reason = reason if script.reason is None else script.reason
        headers = [*script.headers, *headers]
    return ResponseHead(
        status, reason, [("Content-Type", content_type)] * bool(content_type) + headers
    )


class TooLarge(Exception):
    """The body is over MAX_BODY."""


class Connection:
    """Reads requests and writes responses, one after the other.

    The body of an upload, a POST to a path that begins with `uploads`, is left to `body`.
    """

    def __init__(self, stream: trio.SocketStream, uploads: str) -> None:
        self._stream = stream
        self._uploads = uploads
        self._h11 = h11.Connection(h11.SERVER)
        self._bodiless = False
        self.started = False
        """Whether the response to the current request has begun."""
        self.script: Script | None = None
        """What the current request follows, if it follows one."""

    async def receive(self) -> HttpRequest | None:
        """The next request; None when the caller has none.

        Raises TooLarge, and h11.RemoteProtocolError for what is no HTTP.
        """
        head = await self._next_event()
        if not isinstance(head, h11.Request):
            return None
        headers = [
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in head.headers
        ]
        target, _, query = head.target.decode("latin-1").partition("?")
        self._bodiless = head.method == b"HEAD"
        body = bytearray()
        if head.method != b"POST" or not target.startswith(self._uploads):
            # h11 has checked that it is a number.
            if int(dict(headers).get("content-length", 0)) > MAX_BODY:
                raise TooLarge
            async for part in self.body():
                body += part
                if len(body) > MAX_BODY:
                    raise TooLarge
        return HttpRequest(head.method.decode(), target, headers, bytes(body), query)

    async def body(self) -> AsyncIterator[bytes]:
        """The parts of a body as they come. h11.RemoteProtocolError if it breaks off."""
        if self._h11.they_are_waiting_for_100_continue:
            await self._send(h11.InformationalResponse(status_code=100, headers=[]))
        while isinstance(event := await self._next_event(), h11.Data):
            yield bytes(event.data)

    async def wait_hung_up(self) -> None:
        """Return when the caller closes the connection. What it sends before is kept."""
        kept = 0
        while kept < MAX_BODY:
            try:
                data = await self._stream.receive_some(_READ)
            except trio.BrokenResourceError:
                return
            except trio.ClosedResourceError:
                break  # it was us who closed it
            if not data:
                return
            kept += len(data)
            self._h11.receive_data(data)
        await trio.sleep_forever()

    async def respond(
        self, status: int, body: bytes, content_type: str = "application/json", **more: str
    ) -> None:
        """A whole response. `more` are headers, with _ for -."""
        await self.begin(status, content_type, content_length=str(len(body)), **more)
        await self.send(body)
        await self.end()

    async def begin(self, status: int, content_type: str, **more: str) -> None:
        """The head of a response; without content_length its body is chunked."""
        self.started = True
        head = head_of(self.script, status, content_type, **more)
        reason = head.reason.encode("latin-1")
        headers = [
            (name.encode("latin-1"), value.encode("latin-1")) for name, value in head.headers
        ]
        event = h11.Response(status_code=status, headers=headers, reason=reason)
        await self._send(event)

    async def send(self, data: bytes) -> None:
        """A part of the body; nothing of it when the request was HEAD."""
        if data and not self._bodiless:
            await self._send(h11.Data(data=data))

    async def end(self) -> None:
        """The end of the body."""
        await self._send(h11.EndOfMessage())

    async def cut(self, data: bytes) -> None:
        """Half of a chunk, and then the end of the connection."""
        await self._stream.send_all(b"%x\r\n" % len(data) + data[: len(data) // 2])
        await self._stream.aclose()

    async def close(self) -> None:
        """The end of the connection, between two chunks."""
        await self._stream.aclose()

    async def reset(self) -> None:
        """The connection ends with a reset instead of a goodbye."""
        # Closing a socket that lingers for 0 s sends RST: socket(7).
        self._stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await self._stream.aclose()

    def next_cycle(self) -> bool:
        """Whether another request may follow."""
        if self._h11.our_state is not h11.DONE or self._h11.their_state is not h11.DONE:
            return False
        self._h11.start_next_cycle()
        self.started = False
        self.script = None
        return True

    async def _next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        while True:
            event = self._h11.next_event()
            if event is not h11.NEED_DATA:
                return event
            self._h11.receive_data(await self._stream.receive_some(_READ))

    async def _send(self, event: h11.Event) -> None:
        data = self._h11.send(event)
        if data:
            await self._stream.send_all(data)

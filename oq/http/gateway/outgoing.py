"""An answer on its way to the client: whole, or begun and sent piece by piece."""

from __future__ import annotations

from oq.http.connection import Connection
from oq.http.lean import RawHeaders, Scope, Send


class Outgoing:
    """One answer. A piece goes past Hypercorn where the connection is oq's own and speaks
    HTTP/1.1; see `oq.http.flows`.
    """

    def __init__(self, scope: Scope, send: Send) -> None:
        self._send = send
        self._connection: Connection | None = None
        if scope["http_version"] == "1.1":
            self._connection = scope.get("state", {}).get("connection")
        self.begun = False
        """Whether the status has been sent: it can be taken back no more."""

    async def whole(self, status: int, headers: RawHeaders, body: bytes) -> None:
        """All of it."""
        length = (b"content-length", b"%d" % len(body))
        await self._start(status, [*headers, length])
        await self._send({"type": "http.response.body", "body": body, "more_body": False})

    async def begin(self, headers: RawHeaders) -> None:
        """The head of a stream, with status 200."""
        unbuffered = (b"x-accel-buffering", b"no")  # nginx would keep pieces back
        await self._start(200, [*headers, unbuffered])

    async def piece(self, data: bytes) -> None:
        """A part of a stream that has begun."""
        if self._connection is not None:
            await self._connection.send_chunk(data)
        else:
            await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self) -> None:
        """The end of a stream."""
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _start(self, status: int, headers: RawHeaders) -> None:
        self.begun = True
        await self._send(
            {"type": "http.response.start", "status": status, "headers": list(headers)}
        )

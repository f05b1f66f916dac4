"""Sends one response to the client: whole, or piece by piece."""

from __future__ import annotations

from collections.abc import Callable

from oq.dialects.base import Told
from oq.http.asgi import REASON, RawHeaders, Send
from oq.http.gateway.locations import passable
from oq.http.request import Request
from oq.queue import GatewayCalls

TYPE = b"content-type"
JSON = (TYPE, b"application/json")
_LENGTH = b"content-length"
FIRST_KEPT = 64 * 1024


def place_headers(calls: GatewayCalls, task_id: str) -> RawHeaders:
    """Those that say which task runs the call, its place in line, and when it starts."""
    place = calls.waiting(task_id).queue_position
    headers = [(b"x-oq-task-id", task_id.encode()), (b"x-oq-queue-position", b"%d" % place)]
    if (eta := calls.eta_header(task_id)) is not None:
        headers.append((b"x-oq-eta", eta.encode()))
    return headers


class GatewayResponse:
    """One response. `on_status` is called with the status when it is sent.

    A piece goes past Hypercorn where the connection is oq's own and speaks HTTP/1.1; see
    `oq.http.streaming`.
    """

    def __init__(self, request: Request, send: Send, on_status: Callable[[int], None]) -> None:
        self._send = send
        self._on_status = on_status
        self._connection = request.connection
        self.begun = False
        """Whether the status has been sent. After that it cannot be changed."""
        self.sized = False
        """Whether a length has been sent. Then nothing can be added to the body."""
        self.first = b""
        """The beginning of what has been sent in pieces, FIRST_KEPT bytes at most."""
        self._last = b""

    @property
    def told(self) -> Told:
        """What an error behind the pieces may go on from."""
        return Told(self.first, self._last)

    async def whole(
        self, status: int, headers: RawHeaders, body: bytes, reason: bytes = b""
    ) -> None:
        """All of it. The length of the body is added."""
        kept = [item for item in headers if item[0] != _LENGTH]
        await self.begin(status, [*kept, (_LENGTH, b"%d" % len(body))], reason)
        await self._send({"type": "http.response.body", "body": body, "more_body": False})

    async def begin(self, status: int, headers: RawHeaders, reason: bytes = b"") -> None:
        """The head of an answer that is sent in pieces. Without a length it is a stream. `reason`
        is its reason phrase, if it is not the usual one of the status.
        """
        sent = passable(headers)
        if reason:
            sent.append((REASON, reason))
        self.begun = True
        self._on_status(status)
        self.sized = any(name.lower() == _LENGTH for name, _ in sent)
        if not self.sized:
            sent.append((b"x-accel-buffering", b"no"))  # nginx would keep pieces back
        await self._send({"type": "http.response.start", "status": status, "headers": sent})

    async def piece(self, data: bytes) -> None:
        """A part of an answer that has begun."""
        self.first = self.first or data[:FIRST_KEPT]
        self._last = data
        if self._connection is not None and not self.sized:
            await self._connection.send_chunk(data)
        else:
            await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self) -> None:
        """The end of an answer that has begun."""
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

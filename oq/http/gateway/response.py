"""Sends one response to the client: whole, or piece by piece."""

from __future__ import annotations

from collections.abc import Callable

from oq.dialects.base import Told
from oq.http.gateway.locations import passable
from oq.http.peer import Peer, RawHeaders
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
    """One response. `on_status` is called with the status when it is sent."""

    def __init__(self, peer: Peer, on_status: Callable[[int], None]) -> None:
        self._peer = peer
        self._on_status = on_status
        self.in_frames = False
        """Whether a stream of frames without a length has begun. An error can be added to that. To
        anything else it cannot: its reader must see that it was cut.
        """
        self.first = b""
        """The beginning of what has been sent in pieces, FIRST_KEPT bytes at most."""
        self._last = b""

    @property
    def begun(self) -> bool:
        """Whether the status has been sent. After that it cannot be changed."""
        return self._peer.begun

    @property
    def told(self) -> Told:
        """What an error behind the pieces may go on from."""
        return Told(self.first, self._last)

    async def whole(
        self, status: int, headers: RawHeaders, body: bytes, reason: bytes = b""
    ) -> None:
        """All of it. The length of the body is added."""
        kept = [item for item in headers if item[0] != _LENGTH]
        await self._begin(status, [*kept, (_LENGTH, b"%d" % len(body))], reason, body, more=False)

    async def begin(
        self,
        status: int,
        headers: RawHeaders,
        reason: bytes = b"",
        piece: bytes = b"",
        *,
        frames: bool,
    ) -> None:
        """The head of an answer that is sent in pieces, and the first of them if it is there.
        `frames`: it is a stream of frames of its dialect. `reason` is its reason phrase, if it is
        not the usual one of the status.
        """
        self._note(piece)
        sent = [*headers]
        sized = any(name.lower() == _LENGTH for name, _ in sent)
        self.in_frames = frames and not sized
        if not sized:
            sent.append((b"x-accel-buffering", b"no"))  # nginx would keep pieces back
        await self._begin(status, sent, reason, piece, more=True)

    async def _begin(
        self, status: int, headers: RawHeaders, reason: bytes, body: bytes, *, more: bool
    ) -> None:
        self._on_status(status)
        await self._peer.begin(status, passable(headers), reason=reason, body=body, more=more)

    async def piece(self, data: bytes) -> None:
        """A part of an answer that has begun."""
        self._note(data)
        await self._peer.piece(data)

    def piece_nowait(self, data: bytes) -> bool:
        """A part of an answer `in_frames`: see `Peer`."""
        self._note(data)
        return self._peer.piece_nowait(data)

    def _note(self, data: bytes) -> None:
        self.first = self.first or data[:FIRST_KEPT]
        self._last = data

    async def end(self) -> None:
        """The end of an answer that has begun."""
        await self._peer.end()

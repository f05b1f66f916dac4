"""The peer of a request: its body comes from there, and its response goes there.

Two ways lead from a connection to a handler, and each has its kind of peer: `oq.http.asgi` has that
of the ordinary way, through h11, Hypercorn and ASGI; `oq.http.fast_peer` that of the fast path. A
handler does not know which of the two it has.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import trio

from oq.http.request import Request

RawHeaders = Iterable[tuple[bytes, bytes]]


class ClientGone(Exception):
    """The client has left. Nobody waits for a response."""


class Peer(Protocol):
    """The other end of one request."""

    @property
    def begun(self) -> bool:
        """Whether the status has been sent."""

    def at_hand(self) -> bytes | None:
        """The whole body, if it has come already, and has not been read."""

    async def part(self) -> bytes | None:
        """The next part of the body; None at its end. ClientGone."""

    def watch(self, scope: trio.CancelScope) -> None:
        """Cancel `scope` when the client leaves. To be called once the body has been read."""

    def discard(self) -> None:
        """Nobody reads the rest of the body; a response follows all the same."""

    async def begin(
        self,
        status: int,
        headers: RawHeaders,
        *,
        reason: bytes = b"",
        body: bytes = b"",
        more: bool,
    ) -> None:
        """Send the head of the response, and with it a beginning of the body. Without `more` that
        is the whole body, and `headers` have its length. `reason` is the reason phrase, if it is
        not the usual one of the status. ClientGone.
        """

    async def piece(self, data: bytes) -> None:
        """Send a further part of the body; it may be empty. ClientGone."""

    def piece_nowait(self, data: bytes) -> bool:
        """Send a further part of a body without a length, as far as that goes without waiting. If
        it is False, what is left is sent before the next `piece`, and that is due.
        """

    async def end(self) -> None:
        """Say that the body is whole. ClientGone."""


async def refuse(
    request: Request, peer: Peer, status: int, headers: RawHeaders, body: bytes
) -> None:
    """Answer a request whose body has not been read."""
    peer.discard()
    headers = [*headers, *unread_body_headers(request)]
    await peer.begin(status, headers, body=body, more=False)


def unread_body_headers(request: Request) -> list[tuple[bytes, bytes]]:
    """Headers for the answer to a request whose body has not been read: the connection ends with
    it, for what still comes of that body would be taken for the next request.
    """
    closes = _has_body(request) and request.scope["http_version"] == "1.1"
    return [(b"connection", b"close")] if closes else []


def _has_body(request: Request) -> bool:
    """Whether a body follows the head of the request."""
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
        for name, value in request.scope["headers"]
    )

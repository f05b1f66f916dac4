"""Reads the body of a request, in bounded time and memory."""

from __future__ import annotations

import trio
from werkzeug.exceptions import RequestTimeout

from oq.http.inflight import Held
from oq.http.peer import Peer
from oq.http.request import Request
from oq.words.errors import PayloadTooLarge

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


class BodyReader:
    """Reads the body of a request. `limit` is its largest size in bytes."""

    def __init__(self, request: Request, peer: Peer, limit: int, held: Held) -> None:
        self.held = held
        self.whole = False
        """Whether the body has been read to its end."""
        self._request = request
        self._peer = peer
        self.limit = limit

    def leave_rest(self) -> None:
        """Nobody reads what is left of it, if anything; the response can end all the same."""
        if not self.whole:
            self._peer.discard()

    async def read(self) -> bytes:
        """The whole body.

        PayloadTooLarge as soon as that is known, RequestTimeout when it does not come, ClientGone;
        Unavailable when all bodies together have too many bytes.
        """
        if (body := self._peer.at_hand()) is not None:
            if len(body) > self.limit:
                raise PayloadTooLarge(self.limit)
            self.whole = True
            self.held.add(len(body))
            return body
        length = self._request.header(b"content-length")
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
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def part(self) -> bytes | None:
        """The next part of the body, for those who read it as it comes; None at its end.

        ClientGone.
        """
        part = None if self.whole else await self._peer.part()
        self.whole = part is None
        return part

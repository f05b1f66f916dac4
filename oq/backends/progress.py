"""How far a request and its answer have come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from oq.dialects.answer_limit import over


@dataclass(slots=True)
class Progress:
    """How far an answer has come. `size` are the bytes of its text, `received` those that came:
    of a compressed answer they may be more, if most of them say nothing.
    """

    size: int = 0
    received: int = 0
    whole: bool = False

    def receive(self, data: bytes, limit: int) -> None:
        self.received += len(data)
        if self.received > limit:
            raise over(limit)

    def take(self, piece: bytes, limit: int) -> None:
        self.size += len(piece)
        if self.size > limit:
            raise over(limit)


@dataclass(slots=True)
class Sent:
    """What became of one request: whether it opened a connection, whether its first write failed,
    whether an answer began.
    """

    fresh: bool = False
    refused: bool = False
    answered: bool = False

    async def note(self, event: str, info: dict[str, Any]) -> None:
        # https://www.encode.io/httpcore/extensions/#trace
        if event == "http11.send_request_headers.failed":
            self.refused = True
        elif event == "connection.connect_tcp.started":
            self.fresh = True

"""How far an answer has come."""

from __future__ import annotations

from dataclasses import dataclass

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

"""Limits the memory that one answer may take.

A model that does not stop, or a hostile server, must not take all memory.
"""

from __future__ import annotations

from oq.rules.json_size import VALUE_COST, count_values
from oq.words.errors import BackendFailure

MAX_ANSWER = 256 * 1024 * 1024
"""Bytes; the default of `ollama.max_answer`."""

ITEM_COST = 200
"""Bytes that an item of a list takes once it is apart, beside its own."""

_FRAME = 64
"""Bytes that each line or event takes beside its own."""
_USUAL = 32
"""Values in one line or event that cost nothing: a token comes with a dozen."""


class AnswerLimit:
    """`limit` is in bytes. It holds for what is kept of an answer and what is decoded at once."""

    def __init__(self, limit: int = MAX_ANSWER) -> None:
        self._limit = self._left = limit

    def take(self, frame: bytes) -> None:
        """A line or an event has come. BackendFailure if it is too much."""
        values = count_values(frame, unless_over=_USUAL) + frame.count(b"\n")
        self.spend(len(frame) + _FRAME + VALUE_COST * max(0, values - _USUAL))

    def take_usual(self, frame: bytes) -> None:
        """The same for a line or an event of a form that is known to have few values."""
        self.spend(len(frame) + _FRAME)

    def spend(self, size: int) -> None:
        """So many bytes are taken. BackendFailure if that is too much."""
        self._left -= size
        if self._left < 0:
            raise over(self._limit)


def over(limit: int) -> BackendFailure:
    """The error for an answer that is too large."""
    return BackendFailure(
        f"the answer takes over {limit} bytes of memory (ollama.max_answer); ask for less, or"
        " raise that setting"
    )

"""A text that comes bit by bit and may become very long. It is held once, as the JSON that is
wanted of it in the end: a list of its bits would leave as much memory again in small holes.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw

_encode = msgspec.json.Encoder().encode


class GrowingText:
    """The text so far."""

    __slots__ = ("_json",)

    def __init__(self) -> None:
        self._json = bytearray(b'""')

    def add(self, bit: str) -> None:
        """The text goes on with this."""
        self._json.pop()  # the closing quote, with which the JSON of the bit ends too
        self._json += memoryview(_encode(bit))[1:]

    def raw(self) -> Raw:
        """The JSON of the text. No copy: it is not to grow any more."""
        return Raw(self._json)

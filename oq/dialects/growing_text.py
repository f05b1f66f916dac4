"""A long text that arrives in small pieces.

It is kept as one JSON string: a list of its pieces would leave as much memory again in small holes.
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

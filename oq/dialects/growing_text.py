"""A long text that arrives in small pieces.

It is kept as one JSON string: a list of its pieces would leave as much memory again in small holes.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw

from oq.dialects.reading import whole_text

_encode = msgspec.json.Encoder().encode
_ALONE = "\ufffd"
"""What stands for half a surrogate pair whose other half does not come."""


class Halves:
    """Puts surrogate pairs together that were cut in two between two pieces of a text."""

    __slots__ = ("_half",)

    def __init__(self) -> None:
        self._half = ""

    def __bool__(self) -> bool:
        """Whether half a pair waits for its other half."""
        return bool(self._half)

    def join(self, bit: str) -> str:
        """The next piece; half a pair at its end is kept for the one that follows."""
        if not self._half and bit.isascii():
            return bit
        bit, self._half = self._half + bit, ""
        if "\ud800" <= bit[-1:] <= "\udbff":
            bit, self._half = bit[:-1], bit[-1]
        try:
            bit.encode()
        except UnicodeEncodeError:
            return whole_text(bit)
        return bit

    def rest(self) -> str:
        """What stands for a half that is left over."""
        rest, self._half = self._half, ""
        return _ALONE if rest else ""


class GrowingText:
    """The text so far. Where a piece ends with half a surrogate pair, the next one completes it."""

    __slots__ = ("_halves", "_json")

    def __init__(self, text: str = "") -> None:
        self._json = bytearray(b'""')
        self._halves = Halves()
        self.add(text)

    def __bool__(self) -> bool:
        """Whether there is any text."""
        return len(self._json) > 2 or bool(self._halves)

    def add(self, bit: str) -> None:
        """The text goes on with this."""
        self._append(_encode(self._halves.join(bit)))

    def raw(self) -> Raw:
        """The JSON of the text. No copy: it is not to grow any more."""
        self._append(_encode(self._halves.rest()))
        return Raw(self._json)

    def text(self) -> str:
        """The text itself."""
        return msgspec.json.decode(self.raw(), type=str)

    def _append(self, encoded: bytes) -> None:
        self._json[-1:] = encoded[1:]  # the closing quote, with which the JSON of the bit ends too


class RepeatedText:
    """A text that comes in many chunks, of a field that nobody here knows. While each chunk says
    the same, it is a constant; as soon as one says something else, it has been growing all along.
    """

    __slots__ = ("_first", "_grown", "_times")

    def __init__(self, text: str) -> None:
        self._first, self._times = text, 1
        self._grown: GrowingText | None = None

    def __bool__(self) -> bool:
        """Whether there is any text."""
        return bool(self._first)

    def add(self, bit: str) -> None:
        """Another chunk says this."""
        if self._grown is not None:
            self._grown.add(bit)
        elif not self._first:
            self._first = bit
        elif bit == self._first:
            self._times += 1
        elif bit:
            self._grown = GrowingText(self._first * self._times)
            self._grown.add(bit)

    @property
    def grew(self) -> bool:
        """Whether it is more than one text that was said again and again."""
        return self._grown is not None

    def raw(self) -> Raw:
        """The JSON of the text."""
        return (self._grown or GrowingText(self._first)).raw()

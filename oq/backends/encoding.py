"""Bodies that come compressed, though oq asks for plain ones: some proxies do not listen.

httpx would decode them too, but leaves its generators in their middle when it cannot.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Protocol

from oq.backends.http1.exchange import Answer
from oq.words.errors import BackendFailure

PIECE = 64 * 1024
"""Bytes of text in one piece at most. A few bytes can say that they are many."""

_PLAIN = ("", "identity")
_MEMBER = b"\x1f\x8b"
"""How a member of a gzip file begins: there may be several, one after the other (RFC 1952, 2.2)."""
_ZLIB = ("gzip", "x-gzip", "deflate")
_EITHER_HEADER = 32 + zlib.MAX_WBITS


class Decoder(Protocol):
    """Reads one body, in the pieces in which it comes. `plain`: its text are its very bytes."""

    plain: bool

    def __call__(self, data: bytes) -> Iterator[bytes]:
        """The text of the next bytes in pieces, one after the other: who has had enough takes no
        more of them. BackendFailure when the bytes are not what their encoding says.
        """

    def end(self) -> None:
        """Nothing more comes. BackendFailure if the body is cut off."""


def decoder(encoding: str) -> Decoder:
    """What reads a body with this Content-Encoding. BackendFailure if oq does not know it."""
    name = encoding.strip().lower()
    if name in _PLAIN:
        return _PLAINLY
    if name not in _ZLIB:
        raise BackendFailure(f"the backend sent an answer in an encoding unasked for: {name[:80]}")
    return _Inflating(name)


def decoder_of(answer: Answer) -> Decoder:
    """What gives the text of the body of this answer."""
    return decoder(answer.field(b"content-encoding").decode("latin-1"))


class _Inflating:
    """Reads gzip and zlib. What follows the last member and begins no other is none of the body: it
    is left out, as gzip leaves it out. What inflates the body would keep it.
    """

    plain = False

    def __init__(self, name: str) -> None:
        self._name = name
        self._member = zlib.decompressobj(_EITHER_HEADER)
        self._begun = False  # whether a part of the member has come
        self._mark = b""  # the first byte of a next member, as long as the second is not here
        self._between = False  # whether a member has ended, and it is open what follows
        self._over = False  # whether all that still comes is none of the body

    def __call__(self, data: bytes) -> Iterator[bytes]:
        more = bool(data) and not self._over
        while more:
            if self._between and not (data := self._next_member(data)):
                return
            self._begun = True
            try:
                piece = self._member.decompress(data, PIECE)
            except zlib.error as error:
                text = f"the backend sent what is not {self._name}: {error}"
                raise BackendFailure(text) from None
            data = self._member.unconsumed_tail
            if self._member.eof:
                data, self._between = self._member.unused_data, True
                more = bool(data)
            else:
                more = bool(data) or len(piece) == PIECE
            if piece:
                yield piece

    def _next_member(self, data: bytes) -> bytes:
        """The beginning of a member, if that is what has come behind the last one."""
        data, self._mark = self._mark + data, b""
        if not _MEMBER.startswith(data[: len(_MEMBER)]):
            self._over = True
            return b""
        if len(data) < len(_MEMBER):
            self._mark = data
            return b""
        self._member, self._between = zlib.decompressobj(_EITHER_HEADER), False
        return data

    def end(self) -> None:
        """As `Decoder` says. A body without a byte is whole: some servers name an encoding for what
        they leave empty.
        """
        if self._mark or (self._begun and not self._member.eof):
            raise BackendFailure(f"the answer is cut off: the end of its {self._name} has not come")


class _Plain:
    """Reads what is not compressed. HTTP says where it ends."""

    plain = True

    def __call__(self, data: bytes) -> Iterator[bytes]:
        for start in range(0, len(data), PIECE):
            yield data[start : start + PIECE]

    def end(self) -> None:
        pass


_PLAINLY = _Plain()

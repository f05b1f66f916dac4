"""Bodies that come compressed, though oq asks for plain ones: some proxies do not listen.

httpx would decode them too, but leaves its generators in their middle when it cannot.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from functools import partial

from oq.words.errors import BackendFailure

PIECE = 64 * 1024
"""Bytes of text in one piece at most. A few bytes can say that they are many."""

_PLAIN = ("", "identity")
_MEMBER = b"\x1f\x8b"
"""How a member of a gzip file begins: there may be several, one after the other (RFC 1952, 2.2)."""
_ZLIB = ("gzip", "x-gzip", "deflate")
_EITHER_HEADER = 32 + zlib.MAX_WBITS

Decode = Callable[[bytes], Iterator[bytes]]


def decoder(encoding: str) -> Decode:
    """What turns the bytes of a body with this Content-Encoding into pieces of its text, one after
    the other: who has had enough takes no more of them.

    BackendFailure for one that oq does not know, and from the decoder when the bytes are not that.
    """
    name = encoding.strip().lower()
    if name in _PLAIN:
        return _plain
    if name not in _ZLIB:
        raise BackendFailure(f"the backend sent an answer in an encoding unasked for: {name[:80]}")
    return partial(_inflate, _Inflating(), name)


class _Inflating:
    """How far a compressed body has come."""

    def __init__(self) -> None:
        self.member = zlib.decompressobj(_EITHER_HEADER)
        self.ended = False
        """Whether all that still comes is none of it. What inflates it would keep that."""

    def go_on(self) -> bytes:
        """What follows the member that has ended, if that is another one."""
        rest = self.member.unused_data
        self.member = zlib.decompressobj(_EITHER_HEADER)
        self.ended = not _MEMBER.startswith(rest[:2])
        return b"" if self.ended else rest


def _inflate(state: _Inflating, name: str, data: bytes) -> Iterator[bytes]:
    more = not state.ended
    while more:
        try:
            piece = state.member.decompress(data, PIECE)
        except zlib.error as error:
            raise BackendFailure(f"the backend sent what is not {name}: {error}") from None
        data = state.member.unconsumed_tail
        if state.member.eof:
            data = state.go_on()
        more = bool(data) or len(piece) == PIECE
        if piece:
            yield piece


def _plain(data: bytes) -> Iterator[bytes]:
    for start in range(0, len(data), PIECE):
        yield data[start : start + PIECE]

"""Bodies that come compressed, though oq asks for plain ones: some proxies do not listen.

httpx would decode them too, but leaves its generators in their middle when it cannot.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator

from oq.words.errors import BackendFailure

PIECE = 64 * 1024
"""Bytes of text in one piece at most. A few bytes can say that they are many."""

_PLAIN = ("", "identity")
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
    inflate = zlib.decompressobj(_EITHER_HEADER)

    def decode(data: bytes) -> Iterator[bytes]:
        while True:
            try:
                piece = inflate.decompress(data, PIECE)
            except zlib.error as error:
                raise BackendFailure(f"the backend sent what is not {name}: {error}") from None
            data = inflate.unconsumed_tail
            if piece:
                yield piece
            if not data and len(piece) < PIECE:
                return

    return decode


def _plain(data: bytes) -> Iterator[bytes]:
    for start in range(0, len(data), PIECE):
        yield data[start : start + PIECE]

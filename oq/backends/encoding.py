"""Bodies that come compressed, though oq asks for plain ones: some proxies do not listen.

httpx would decode them too, but leaves its generators in their middle when it cannot.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable

from oq.words.errors import BackendFailure

_PLAIN = ("", "identity")
_ZLIB = ("gzip", "x-gzip", "deflate")
_EITHER_HEADER = 32 + zlib.MAX_WBITS


def decoder(encoding: str, limit: int = 0) -> Callable[[bytes], bytes]:
    """What turns the pieces of a body with this Content-Encoding into those of its text; with a
    `limit`, into so many bytes of it each at most.

    BackendFailure for one that oq does not know, and from the decoder when a piece is not that.
    """
    name = encoding.strip().lower()
    if name in _PLAIN:
        return bytes
    if name not in _ZLIB:
        raise BackendFailure(f"the backend sent an answer in an encoding unasked for: {name[:80]}")
    inflate = zlib.decompressobj(_EITHER_HEADER).decompress

    def decode(data: bytes) -> bytes:
        try:
            return inflate(data, limit)
        except zlib.error as error:
            raise BackendFailure(f"the backend sent what is not {name}: {error}") from None

    return decode

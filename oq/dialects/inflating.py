"""Reads bodies that came compressed, piece by piece: gzip and deflate (RFC 9110, 8.4.1), and zstd
(RFC 8878).

A few bytes can say that they are many. So whoever reads them takes one piece, and decides whether
to take another.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable, Iterator

if sys.version_info >= (3, 14):  # pragma: no cover - which of the two it is, Python decides
    from compression import zstd
else:  # pragma: no cover - likewise
    from backports import zstd

MAX_MEMBERS = 16
"""Parts of a body that are compressed one by one: members of gzip, frames of zstd."""
MAX_WINDOW = 23
"""The power of two of the bytes that reading zstd may take: 8 MiB, as in Ollama, and as RFC 8878
recommends.
"""

_FED, _PIECE = 64 * 1024, 1024 * 1024
"""Bytes that are inflated in one step, and those that may come of it."""
_EITHER_HEADER = 32 + zlib.MAX_WBITS
_OPTIONS = {int(zstd.DecompressionParameter.window_log_max): MAX_WINDOW}


class Unreadable(Exception):
    """These bytes are not what they should be, or not all of it."""


Inflate = Callable[[memoryview, int], Iterator[bytes]]
"""Gives what a body says in pieces, none of more than so many bytes; Unreadable if it cannot be
read to its end."""


def inflate_of(encoding: bytes) -> Inflate | None:
    """What reads bodies with this Content-Encoding; None for one that is not read here."""
    return _INFLATES.get(encoding.strip().lower())


def _from_zlib(body: memoryview, most: int) -> Iterator[bytes]:
    member, members = zlib.decompressobj(_EITHER_HEADER), 1
    for begin in range(0, len(body), _FED):
        data: bytes | memoryview = body[begin : begin + _FED]
        full = False
        while data or full:
            if member.eof:
                member, members = zlib.decompressobj(_EITHER_HEADER), _one_more(members)
            room = min(_PIECE, most)
            try:
                piece = member.decompress(data, room)
            except zlib.error as error:
                raise Unreadable(str(error)) from None
            data = member.unused_data if member.eof else member.unconsumed_tail
            full = len(piece) == room and not member.eof
            yield piece
    _check_whole(whole=member.eof)


def _from_zstd(body: memoryview, most: int) -> Iterator[bytes]:
    frame, frames = zstd.ZstdDecompressor(options=_OPTIONS), 1
    for begin in range(0, len(body), _FED):
        data: bytes | memoryview = body[begin : begin + _FED]
        full = False
        while data or full:
            if frame.eof:
                frame, frames = zstd.ZstdDecompressor(options=_OPTIONS), _one_more(frames)
            try:
                piece = frame.decompress(data, min(_PIECE, most))
            except zstd.ZstdError as error:
                raise Unreadable(str(error)) from None
            data = frame.unused_data if frame.eof else b""
            full = not frame.eof and not frame.needs_input
            yield piece
    _check_whole(whole=frame.eof)


def _one_more(members: int) -> int:
    if members == MAX_MEMBERS:
        raise Unreadable(f"more than {MAX_MEMBERS} members")
    return members + 1


def _check_whole(*, whole: bool) -> None:
    if not whole:
        raise Unreadable("it is cut off")


_INFLATES: dict[bytes, Inflate] = {
    b"gzip": _from_zlib,
    b"x-gzip": _from_zlib,
    b"deflate": _from_zlib,
    b"zstd": _from_zstd,
}

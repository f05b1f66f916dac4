"""Encodes the high-water mark: a commit number (8 bytes), its CRC-32 (4), and both once more.

So oq notices one flipped bit, and reads the other copy. An older oq wrote the number alone.
"""

from __future__ import annotations

from zlib import crc32

import structlog

log = structlog.get_logger("oq.store")

_NUMBER = 8
_COPY = 12
SIZE = 2 * _COPY


def encode(commit: int) -> bytes:
    number = commit.to_bytes(_NUMBER, "big")
    return 2 * (number + crc32(number).to_bytes(4, "big"))


def decode(content: bytes) -> int:
    """The number; 0 when there is none, or none that can be read."""
    if len(content) <= _NUMBER:
        return int.from_bytes(content, "big")
    copies = (content[:_COPY], content[_COPY:SIZE])
    good = [copy for copy in copies if encode(_number(copy))[:_COPY] == copy]
    if not good:
        log.warning("the high-water mark cannot be read: a log that is lost would not be noticed")
    return max((_number(copy) for copy in good), default=0)


def _number(copy: bytes) -> int:
    return int.from_bytes(copy[:_NUMBER], "big")

"""CRC-32C as RocksDB stores it, and what it says about a single flipped bit.

A CRC is linear: what a flipped bit changes in it depends only on how far the bit is from the end.
So from the checksum that is stored and the one that is found follows which bit it was. CRC-32C
tells any two bits apart in records of up to 2^31 bits (Koopman, "32-bit cyclic redundancy codes
for internet applications", 2002), and two flipped bits never look like one.
"""

from __future__ import annotations

import google_crc32c

_MASK = 0xA282EAD8
ALL = 0xFFFFFFFF


def checksum(content: bytes | bytearray) -> int:
    """The masked CRC-32C of these bytes."""
    crc: int = google_crc32c.value(bytes(content))
    return (((crc >> 15) | (crc << 17)) + _MASK) & ALL


def flipped_bit(content: bytes | bytearray, stored: int) -> tuple[int, int] | None:
    """Which one bit of `content` has to be flipped for it to have this checksum: the byte's index,
    and the byte with only that bit set. None when no single bit does it.
    """
    difference = _unmasked(checksum(content)) ^ _unmasked(stored)
    for index in range(len(content) - 1, -1, -1):
        if difference in _BITS:
            return index, _BITS[difference]
        entry = _BY_HIGH_BYTE[difference >> 24]
        difference = ((difference ^ _TABLE[entry]) << 8 | entry) & ALL
    return None


def _unmasked(masked: int) -> int:
    crc = (masked - _MASK) & ALL
    return ((crc >> 17) | (crc << 15)) & ALL


def _entry(byte: int) -> int:
    for _ in range(8):
        byte = (byte >> 1) ^ (0x82F63B78 if byte & 1 else 0)
    return byte


_TABLE = [_entry(byte) for byte in range(256)]
_BY_HIGH_BYTE = {entry >> 24: index for index, entry in enumerate(_TABLE)}
_BITS = {_TABLE[1 << bit]: 1 << bit for bit in range(8)}
"""What a flipped bit of the last byte changes in the checksum."""

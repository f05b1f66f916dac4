"""RocksDB's log files, byte by byte: the write-ahead log, and the manifest, which is like it.

A file is a row of blocks of 32 KiB, a block a row of records, each with a header of 7 bytes:
checksum (4), length (2), type (1). https://github.com/facebook/rocksdb/wiki/Write-Ahead-Log-File-Format

RocksDB reads types 5 to 8 and 11 as records of a recycled log, which oq never writes; with the
number of another log in them it reads the same one again and again, and opening never returns
(facebook/rocksdb#13333). One flipped bit makes a 1 a 5, so this is looked for beforehand.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

BLOCK = 32768
HEADER = 7
USED = frozenset({1, 2, 3, 4})  # whole, first, middle, last: the parts of a batch
ENDLESS = frozenset({5, 6, 7, 8, 11})
SKIPPED = 0x7F
"""A type that RocksDB does not know: with a good checksum it passes over just that record."""

_header = struct.Struct("<IHB")


def find_endless(database: Path) -> Iterator[tuple[Path, int]]:
    """Each place (a file, an offset) at which RocksDB could read for ever."""
    for file in (*database.glob("*.log"), *database.glob("MANIFEST-*")):
        for start, block in _blocks(file):
            for offset in _endless_in(block):
                yield file, start + offset


def defuse(database: Path) -> None:
    """Make records out of these that are only damaged."""
    for file, offset in list(find_endless(database)):
        _overwrite(file, offset, bytes([SKIPPED]))


def mend(log: Path) -> int:
    """Let RocksDB pass over what is damaged in a log, and no more than that: by itself it passes
    over the rest of the block too. How many places that were.
    """
    places = 0
    for start, block in _blocks(log):
        for at, end in _damage_in(block):
            if end - at >= HEADER:
                _overwrite(log, start + at, _passed_over(block[at:end]))
                places += 1
    return places


def _blocks(file: Path) -> Iterator[tuple[int, bytes]]:
    with file.open("rb") as content:
        start = 0
        while block := content.read(BLOCK):
            yield start, block
            start += len(block)


def _overwrite(file: Path, offset: int, content: bytes) -> None:
    with file.open("r+b") as target:
        target.seek(offset)
        target.write(content)


def _endless_in(block: bytes) -> Iterator[int]:
    """Where in the block such a type stands, as far as the lengths of the records lead to one."""
    at, last = 0, len(block) - HEADER
    while at <= last:
        _, length, kind = _header.unpack_from(block, at)
        if kind in ENDLESS:
            yield at + 6
        if kind == length == 0:  # RocksDB skips the rest of the block too
            return
        at += HEADER + length


def _damage_in(block: bytes) -> Iterator[tuple[int, int]]:
    """What lies between good records: from where, to where."""
    at, last = 0, len(block) - HEADER
    while at <= last:
        end = _end_of_record(block, at)
        if end is None:
            end = next((o for o in range(at + 1, last + 1) if _end_of_record(block, o)), len(block))
            yield at, end
        at = end


def _end_of_record(block: bytes, at: int) -> int | None:
    """Where the record that begins here ends; None if no good one does."""
    checksum, length, kind = _header.unpack_from(block, at)
    end: int = at + HEADER + length
    if kind not in USED or end > len(block) or _checksum(block[at + 6 : end]) != checksum:
        return None
    return end


def _passed_over(damage: bytes) -> bytes:
    """A header that makes of these bytes a record that is passed over."""
    body = bytes([SKIPPED]) + damage[HEADER:]
    return _header.pack(_checksum(body), len(damage) - HEADER, SKIPPED)


def _checksum(content: bytes) -> int:
    """CRC-32C, masked as RocksDB stores it."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def _entry(byte: int) -> int:
    for _ in range(8):
        byte = (byte >> 1) ^ (0x82F63B78 if byte & 1 else 0)
    return byte


_TABLE = [_entry(byte) for byte in range(256)]

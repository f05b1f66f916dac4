"""RocksDB's log files, byte by byte: the write-ahead log, and the manifest, which is like it.

A file is a row of blocks of 32 KiB, a block a row of records, each with a header of 7 bytes:
checksum (4), length (2), type (1). An entry (in the write-ahead log: a batch) is one record, or a
first one, some in the middle and a last one.
https://github.com/facebook/rocksdb/wiki/Write-Ahead-Log-File-Format

RocksDB reads types 5 to 8 and 11 as records of a recycled log, which oq never writes; with the
number of another log in them it reads the same one again and again, and opening never returns
(facebook/rocksdb#13333). One flipped bit makes a 1 a 5, so this is looked for beforehand.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from oq.store.checksum import checksum, flipped_bit

BLOCK = 32768
HEADER = 7
WHOLE, FIRST, MIDDLE, LAST = 1, 2, 3, 4
USED = frozenset({WHOLE, FIRST, MIDDLE, LAST})
ENDLESS = frozenset({5, 6, 7, 8, 11})

_header = struct.Struct("<IHB")


@dataclass(frozen=True, slots=True)
class Entry:
    """What stands at an offset of a file. `content` is None when it cannot be read; `raw` is then
    all that is there, headers and all.
    """

    start: int
    content: bytes | None
    raw: bytes = b""
    repaired: bool = False
    """Whether one bit of it was flipped, and has been flipped back."""


@dataclass(frozen=True, slots=True)
class _Record:
    start: int
    kind: int  # 0: damage
    content: bytes
    repaired: bool = False


def numbered(files: Iterable[Path]) -> list[Path]:
    """Log files in the order in which they were written."""
    return sorted(files, key=lambda file: int(file.stem))


def headers(block: bytes) -> Iterator[tuple[int, int, int]]:
    """The records of a block, as far as their lengths lead: offset, length, type. No checksum is
    looked at.
    """
    at, last = 0, len(block) - HEADER
    while at <= last:
        _, length, kind = _header.unpack_from(block, at)
        yield at, length, kind
        if kind == length == 0:  # RocksDB skips the rest of the block too
            return
        at += HEADER + length


def entries(file: Path) -> Iterator[Entry]:
    """All that is in the file, in order, every checksum checked. One flipped bit in a record is
    flipped back; what is damaged worse costs the entry that it is in.
    """
    parts: list[_Record] = []
    for record in _records(file):
        if record.kind in (WHOLE, FIRST, 0) and parts:
            yield _unreadable(parts)
            parts = []
        if record.kind == WHOLE:
            yield Entry(record.start, record.content, repaired=record.repaired)
        elif record.kind == 0 or (record.kind in (MIDDLE, LAST) and not parts):
            yield _unreadable([record])
        else:
            parts.append(record)
        if record.kind == LAST and parts:
            content = b"".join(part.content for part in parts)
            yield Entry(parts[0].start, content, repaired=any(part.repaired for part in parts))
            parts = []
    if parts:
        yield _unreadable(parts)


def write(file: Path, contents: Iterable[bytes]) -> None:
    """A log file of these entries."""
    with file.open("wb") as target:
        for content in contents:
            for record in _framed(content, target.tell()):
                target.write(record)


def _framed(content: bytes, position: int) -> Iterator[bytes]:
    """An entry as records, from that position of the file on."""
    begun = False
    while True:
        room = BLOCK - position % BLOCK
        if room < HEADER:
            yield bytes(room)
            position += room
            continue
        part, content = content[: room - HEADER], content[room - HEADER :]
        kind = (MIDDLE if begun else FIRST) if content else (LAST if begun else WHOLE)
        yield _header.pack(checksum(bytes([kind]) + part), len(part), kind) + part
        if not content:
            return
        begun = True
        position += HEADER + len(part)


def _unreadable(parts: list[_Record]) -> Entry:
    return Entry(parts[0].start, None, b"".join(part.content for part in parts))


def _records(file: Path) -> Iterator[_Record]:
    for start, block in blocks(file):
        at, last = 0, len(block) - HEADER
        while at <= last:
            if block[at:] == bytes(len(block) - at):
                break  # zeroes to the end of the block are what was laid out and never written
            end = _end_of_record(block, at)
            if end is not None:
                yield _Record(start + at, block[at + 6], block[at + HEADER : end])
            elif (mended := _with_one_bit_less(block, at)) is not None:
                record, end = mended
                yield _Record(start + at, record[0], record[1:], repaired=True)
            else:
                end = _next_good(block, at + 1)
                yield _Record(start + at, 0, block[at:end])
            at = end
        if at < len(block) < BLOCK and any(block[at:]):
            yield _Record(start + at, 0, block[at:])  # less than a header, at the end of the file


def blocks(file: Path) -> Iterator[tuple[int, bytes]]:
    """The blocks of the file, each with its offset."""
    with file.open("rb") as content:
        start = 0
        while block := content.read(BLOCK):
            yield start, block
            start += len(block)


def _end_of_record(block: bytes, at: int) -> int | None:
    """Where the record that begins here ends; None if no good one does."""
    stored, length, kind = _header.unpack_from(block, at)
    end: int = at + HEADER + length
    if kind not in USED or end > len(block) or checksum(block[at + 6 : end]) != stored:
        return None
    return end


def _next_good(block: bytes, at: int) -> int:
    """Where the next good record begins; the end of the block if none does."""
    places = range(at, len(block) - HEADER + 1)
    return next((place for place in places if _end_of_record(block, place)), len(block))


def _with_one_bit_less(block: bytes, at: int) -> tuple[bytes, int] | None:
    """The record here, its type and its content, as it was before one bit was flipped in it or in
    its header, and where it ends; None when that is not what has happened.
    """
    stored, length, _ = _header.unpack_from(block, at)
    end = at + HEADER + length
    if end <= len(block):
        record = bytearray(block[at + 6 : end])
        flipped_in_checksum = (checksum(record) ^ stored).bit_count() == 1
        bit = None if flipped_in_checksum else flipped_bit(record, stored)
        if bit is not None:
            record[bit[0]] ^= bit[1]
        if record[0] in USED and (flipped_in_checksum or bit is not None):
            return bytes(record), end
    for bit_of_length in range(16):
        end = at + HEADER + (length ^ 1 << bit_of_length)
        if end <= len(block) and block[at + 6] in USED:
            if checksum(block[at + 6 : end]) == stored:
                return block[at + 6 : end], end
    return None

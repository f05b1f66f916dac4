"""RocksDB's table files, as far as it takes to flip one flipped bit back.

A table is a row of blocks, each with the type of its compression (1 byte) and a checksum (4) behind
it, and a footer of 53 bytes. RocksDB says which block of which table cannot be read; from the
checksum follows which bit that is. `table/format.cc` of RocksDB describes all of it: this is
format version 6 with CRC-32C, which oq writes. Tables of an older oq have another checksum, and
nothing in them can be repaired.
"""

from __future__ import annotations

import re
import shutil
import struct
from pathlib import Path

from oq.store.checksum import ALL, checksum, flipped_bit

FOOTER = 53
TRAILER = 5
CRC32C = 1
_footer = struct.Struct("<BIIII")
"""The kind of checksum, the extended magic, the checksum, the base of contexts, and the size of the
block before the footer, which says where the others are.
"""
_CHECKSUM_AT = 5
_BLOCK = re.compile(r"/(\w+\.sst) offset (\d+) size (\d+)")
_TABLE = re.compile(r"/(\w+\.sst)\b")
_PROPERTIES = b"rocksdb.properties"


def mend(database: Path, problem: str) -> str | None:
    """Flip back the bit of which RocksDB complains; where that was, or None if it is not one bit.

    The table is copied first: it may be a link to one that must stay as it is.
    """
    block, table = _BLOCK.search(problem), _TABLE.search(problem)
    if block is not None:
        place = _mend_block(database / block[1], int(block[2]), int(block[3]))
        return place and f"{block[1]}, {place}"
    if table is not None:
        place = _mend_footer(database / table[1])
        return place and f"{table[1]}, {place}"
    for file in sorted(database.glob("*.sst")):  # "properties unsorted" does not say of which
        place = _mend_properties(file)
        if place is not None:
            return f"{file.name}, {place}"
    return None


def _mend_block(file: Path, offset: int, size: int) -> str | None:
    content = file.read_bytes()
    block = content[offset : offset + size + TRAILER]
    kind, _, _, base, _ = _footer.unpack_from(content, len(content) - FOOTER)
    if kind != CRC32C or len(block) < size + TRAILER:
        return None
    body, trailer = bytearray(block[:-4]), int.from_bytes(block[-4:], "little")
    context = _context(base, offset)
    stored = (trailer - context) & ALL
    if checksum(body) == stored:
        return None
    bit = flipped_bit(body, stored)
    if bit is not None:
        body[bit[0]] ^= bit[1]
        _replace(file, offset + bit[0], bytes([body[bit[0]]]))
        return f"byte {offset + bit[0]}: one bit"
    right = (checksum(body) + context) & ALL
    if (right ^ trailer).bit_count() != 1:
        return None
    _replace(file, offset + len(body), right.to_bytes(4, "little"))
    return f"from byte {offset + len(body)}: one bit"


def _mend_footer(file: Path) -> str | None:
    offset = file.stat().st_size - FOOTER
    footer = bytearray(file.read_bytes()[offset:])
    for bit in range(8 * FOOTER):
        footer[bit // 8] ^= 1 << bit % 8
        if _is_footer(footer, offset):
            _replace(file, offset, bytes(footer))
            return f"byte {offset + bit // 8}: one bit"
        footer[bit // 8] ^= 1 << bit % 8
    return None


def _is_footer(footer: bytearray, offset: int) -> bool:
    kind, _, stored, base, _ = _footer.unpack_from(footer)
    if kind != CRC32C:
        return False
    blank = footer[:_CHECKSUM_AT] + bytes(4) + footer[_CHECKSUM_AT + 4 :]
    found: int = (checksum(blank) + _context(base, offset)) & ALL
    return found == int(stored)


def _mend_properties(file: Path) -> str | None:
    content = file.read_bytes()
    footer = len(content) - FOOTER
    *_, size = _footer.unpack_from(content, footer)
    at = content.find(_PROPERTIES, footer - TRAILER - size, footer)
    if at < 0:
        return None
    offset, at = _number(content, at + len(_PROPERTIES))
    return _mend_block(file, offset, _number(content, at)[0])


def _number(content: bytes, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, the lowest first, and where it ends."""
    number = shift = 0
    while content[at] & 0x80:
        number |= (content[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
    return number | content[at] << shift, at + 1


def _context(base: int, offset: int) -> int:
    """What is added to a checksum so that it holds in this place of this table only."""
    return base and base ^ ((offset + (offset >> 32)) & ALL)


def _replace(file: Path, offset: int, content: bytes) -> None:
    mended = file.with_suffix(".mended")
    shutil.copy(file, mended)
    with mended.open("r+b") as target:
        target.seek(offset)
        target.write(content)
    mended.rename(file)

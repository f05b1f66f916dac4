"""Damage in the write-ahead log that RocksDB cannot judge by itself.

A record type that oq never writes. RocksDB reads types 5 to 8 and 11 as records of a recycled log,
and with the number of another log in them it reads the same one again and again: opening never
returns (facebook/rocksdb#13333). One flipped bit makes a 1 a 5, so this is looked for before.
The manifest is read by the same code.

A torn tail. A power cut may leave more than a last record that is short: the file has its new
length, but a sector of it holds zeroes, or what was there before. RocksDB takes the one for a torn
tail, and calls the other corruption. But the writer syncs each batch before it writes the next, so
at most the last one was not synced. Damage with nothing that can be read behind it, and behind all
that is known to have been acknowledged, has therefore taken nothing that was promised.

The format of the log: https://github.com/facebook/rocksdb/wiki/Write-Ahead-Log-File-Format
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
from rocksdict import AccessType, DBRecoveryMode, Options, Rdict

from oq.rules.keys import FAMILIES, META_KEY, Meta

OptionsFor = Callable[[DBRecoveryMode], Options]

BLOCK = 32768
HEADER = 7  # checksum: 4 bytes, length: 2, type: 1
ENDLESS = frozenset({5, 6, 7, 8, 11})
HARMLESS = b"\xff"
"""A type that RocksDB calls corruption, as it should."""

_length_and_type = struct.Struct("<HB").unpack_from


def find_endless(database: Path) -> Iterator[tuple[Path, int]]:
    """Each place (a file, an offset) at which RocksDB could read for ever."""
    for log in (*database.glob("*.log"), *database.glob("MANIFEST-*")):
        with log.open("rb") as file:
            start = 0
            while block := file.read(BLOCK):
                for offset in _endless_in(block):
                    yield log, start + offset
                start += len(block)


def defuse(database: Path) -> int:
    """Make records out of these that are only damaged; how many. It changes the files."""
    places = list(find_endless(database))
    for log, offset in places:
        with log.open("r+b") as file:
            file.seek(offset)
            file.write(HARMLESS)
    return len(places)


def only_torn(database: Path, options_for: OptionsFor, mark: int) -> bool:
    """Whether the batches before the damage are all that were acknowledged. It changes nothing."""
    try:
        before = _last_commit(database, options_for(DBRecoveryMode.point_in_time()))
        in_all = _last_commit(database, options_for(DBRecoveryMode.skip_any_corrupted_record()))
    except Exception:  # damage of another kind: what RocksDB said of that first is what matters
        return False
    return before == in_all and before >= mark


def _endless_in(block: bytes) -> Iterator[int]:
    """Where in the block such a type stands, as far as the lengths of the records lead to one."""
    at, last = 0, len(block) - HEADER
    while at <= last:
        length, kind = _length_and_type(block, at + 4)
        if kind in ENDLESS:
            yield at + 6
        if kind == length == 0:  # RocksDB skips the rest of the block too
            return
        at += HEADER + length


def _last_commit(database: Path, options: Options) -> int:
    """The number of the last batch that can be read in that way."""
    readonly = AccessType.read_only()
    families = dict.fromkeys(FAMILIES, options)
    rows = Rdict(str(database), options, column_families=families, access_type=readonly)
    try:
        value = rows.get_column_family("meta").get(META_KEY)
    finally:
        rows.close()
    return 0 if value is None else msgspec.msgpack.decode(value, type=Meta).commit

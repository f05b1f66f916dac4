"""Checks a database before RocksDB opens it, and cuts off a torn tail of its write-ahead log.

When RocksDB opens a database, it changes it. It moves the batches of the log into tables and
deletes the log. It deletes table files that its manifest does not list. If the file CURRENT is
missing, it makes an empty database. So oq first reads the files without changing them. If it finds
damage, it refuses to open the database, and `oq salvage` still finds all of it.

A torn tail is not damage. After a power cut the end of the log may be too short. It may contain
zeroes, or older content of the disk, such as earlier batches of the same log. RocksDB tolerates
only a log that is too short. The writer syncs each batch before it writes the next, so only the
last batch may be unsynced. oq cuts the log off at the first place that cannot be read, under two
conditions: no later batch follows that place, and every batch that was acknowledged is before it.
Then nothing is cut off that was acknowledged.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import structlog
from rocksdict import AccessType, DBRecoveryMode, Options, Rdict

from oq.store.batches import commit_of
from oq.store.directory import DATABASE, read_mark
from oq.store.errors import behind_mark, damaged, translate
from oq.store.keys import FAMILIES, META_KEY, Meta
from oq.store.logfile import ENDLESS, HEADER, LAST, WHOLE, blocks, entries, headers, numbered
from oq.store.migration import check_format

log = structlog.get_logger("oq.store")
OptionsFor = Callable[[DBRecoveryMode], Options]
Place = tuple[Path, int]
"""A file and an offset in it."""

STRICT = DBRecoveryMode.tolerate_corrupted_tail_records()
UP_TO_DAMAGE = DBRecoveryMode.point_in_time()


def look(path: Path, options_for: OptionsFor) -> None:
    """Return if the database in this data directory may be opened. A torn tail has been cut off
    then. StoreCorrupt if the database is damaged.
    """
    database, mark = path / DATABASE, read_mark(path)
    if not (database / "CURRENT").exists():
        if any(file.suffix in (".sst", ".log") for file in database.glob("*.*")):
            raise damaged(path, "the file CURRENT is missing")
        return
    for file in database.glob("MANIFEST-*"):
        for offset in _endless_in(file):
            raise damaged(path, f"byte {offset} of {file.name} is wrong")
    wrong = _first_irregularity(database)
    if wrong is not None and not _cut_tail(database, options_for, mark):
        raise damaged(path, f"byte {wrong[1]} of {wrong[0].name} is wrong")
    _check_end(path, options_for, mark)


def _check_end(path: Path, options_for: OptionsFor, mark: int) -> None:
    """StoreCorrupt if the log cannot be read, or if an acknowledged batch is missing at its end."""
    database = path / DATABASE
    try:
        commit = last_commit(database, options_for(STRICT))
    except Exception as error:
        text = str(error)
        if "Corruption" in text and _cut_tail(database, options_for, mark):
            return _check_end(path, options_for, mark)
        if "olumn famil" in text and mark == 0:
            return None  # the process ended while it made the database
        raise translate(error, path) from None
    if commit < mark:
        raise behind_mark(commit, mark)
    return None


def _cut_tail(database: Path, options_for: OptionsFor, mark: int) -> bool:
    """Cut off a torn tail of the log. False if it is not a torn tail, but damage."""
    place = _end_of_log(database, options_for, mark)
    if place is None:
        return False
    torn, offset = place
    logs = numbered(database.glob("*.log"))
    for file in logs[logs.index(torn) :]:
        keep = offset if file == torn else 0
        log.warning(
            "cut off a torn end of the write-ahead log, as a power cut leaves it; nothing that was"
            " acknowledged is lost",
            file=file.name, offset=keep, bytes=file.stat().st_size - keep,
        )  # fmt: skip
        os.truncate(file, keep)
    return True


def _end_of_log(database: Path, options_for: OptionsFor, mark: int) -> Place | None:
    """Where the torn tail of the log begins. None if nothing is torn, or if an acknowledged batch
    is missing there.
    """
    place, last = None, None
    for file in numbered(database.glob("*.log")):
        for entry in entries(file):
            commit = None if entry.content is None else commit_of(entry.content)
            later = commit is not None and (last is None or commit > last)
            if place is not None:
                if later:
                    return None
            elif entry.content is None or entry.repaired or not (later or commit is None):
                place = file, entry.start
                if later:
                    return None  # one bit is wrong in a good batch: that is damage, not a torn tail
            else:
                last = commit if commit is not None else last
    if place is None:
        return None
    try:
        end = last if last is not None else last_commit(database, options_for(UP_TO_DAMAGE))
    except Exception:  # damage of another kind: the first error of RocksDB says more about it
        return None
    return place if end >= mark else None


def _first_irregularity(database: Path) -> Place | None:
    """The first place where a log is wrong in a way that RocksDB does not notice, or that makes it
    read without end.
    """
    last = 0
    for file in numbered(database.glob("*.log")):
        for start, block in blocks(file):
            for at, length, kind in headers(block):
                if kind in ENDLESS:
                    return file, start + at + HEADER - 1
                if kind in (WHOLE, LAST):
                    commit = commit_of(block[at + HEADER : at + HEADER + length])
                    if commit is not None and commit <= last:
                        return file, start + at
                    last = commit or last
    return None


def _endless_in(file: Path) -> Iterator[int]:
    """The offsets of the record types that make RocksDB read without end."""
    for start, block in blocks(file):
        for at, _, kind in headers(block):
            if kind in ENDLESS:
                yield start + at + HEADER - 1


def last_commit(database: Path, options: Options) -> int:
    """The number of the last commit that can be read with these options."""
    readonly = AccessType.read_only()
    families = dict.fromkeys(FAMILIES, options)
    rows = Rdict(str(database), options, column_families=families, access_type=readonly)
    try:
        value = rows.get_column_family("meta").get(META_KEY)
    finally:
        rows.close()
    if value is None:
        return 0
    check_format(value)
    return msgspec.msgpack.decode(value, type=Meta).commit

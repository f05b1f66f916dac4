"""What is looked at before a database is opened, because to open it is to change it.

RocksDB then takes over what is in the log and deletes that, deletes table files of which its
manifest does not tell, and makes an empty database where the file CURRENT is missing. So one that
oq refuses is read first, without a byte being changed, and is still all there for `oq salvage`.

A torn tail is not damage. A power cut leaves the end of the log as it likes: short, with zeroes in
it, or with what was there before on the disk, among it batches of the same log. RocksDB tolerates
the first only. But the writer syncs each batch before it writes the next, so at most the last one
was not synced. Where the log stops making sense, with no later batch behind that place, and with
all before it that is known to have been acknowledged, nothing behind it was ever promised: it is
cut off.
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
    """Return when the database in this data directory may be opened, with what a power cut left
    behind its end cut off. StoreCorrupt when it may not.
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
    """StoreCorrupt when it cannot be read, or ends before what was acknowledged."""
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
    """Cut off what is torn behind the end of the log; False when it is damage that is there."""
    place = _end_of_log(database, options_for, mark)
    if place is None:
        return False
    torn, offset = place
    logs = numbered(database.glob("*.log"))
    for file in logs[logs.index(torn) :]:
        keep = offset if file == torn else 0
        log.warning(
            "cut off what a power cut left behind the last batch of the log; it was never promised",
            file=file.name, offset=keep, bytes=file.stat().st_size - keep,
        )  # fmt: skip
        os.truncate(file, keep)
    return True


def _end_of_log(database: Path, options_for: OptionsFor, mark: int) -> Place | None:
    """Where the log ends and what is torn begins; None when something that was promised is missing
    there, or nothing is torn.
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
                    return None  # one bit is wrong in a good batch: that is no torn one
            else:
                last = commit if commit is not None else last
    if place is None:
        return None
    try:
        end = last if last is not None else last_commit(database, options_for(UP_TO_DAMAGE))
    except Exception:  # damage of another kind: what RocksDB said of that first is what matters
        return None
    return place if end >= mark else None


def _first_irregularity(database: Path) -> Place | None:
    """Where a log cannot go on as it does there, though RocksDB may take it for good, or read it
    for ever.
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
    """The offset of each type of record on which RocksDB would loop."""
    for start, block in blocks(file):
        for at, _, kind in headers(block):
            if kind in ENDLESS:
                yield start + at + HEADER - 1


def last_commit(database: Path, options: Options) -> int:
    """The number of the last batch that can be read in that way."""
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

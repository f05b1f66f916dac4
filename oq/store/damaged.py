"""Copies a damaged database, repairs flipped bits in the copy, and opens the copy for reading."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from oq.store import tables
from oq.store.batches import family_of, operations
from oq.store.decoding import UNDECODABLE
from oq.store.directory import DATABASE
from oq.store.engine import Put
from oq.store.keys import FAMILIES, META_KEY, Meta
from oq.store.logfile import entries, numbered, write
from oq.store.rocks import DamagedRows
from oq.store.salvaged_log import SalvagedLog
from oq.words.errors import StoreError

PAST_ANY_KEY = b"\xff" * 300
MOST_REPAIRS = 100


@dataclass
class Damaged:
    """The readable copy of a damaged database.

    `rows` reads its tables and logs. `logged` is what its logs contain. `base` is the number of the
    last commit in its tables, or None if it cannot be read. `damage` lists what cannot be read, and
    `repaired` the bits that were repaired.
    """

    rows: DamagedRows
    logged: SalvagedLog
    base: int | None
    damage: list[str] = field(default_factory=list)
    repaired: list[str] = field(default_factory=list)


def open_damaged(database: Path, scratch: Path) -> Damaged:
    """Copy the database into the new directory `scratch`, and open the copy. The database itself is
    not changed. StoreError if nothing can be read.
    """
    mended = scratch / DATABASE
    mended.mkdir(parents=True)
    for table in database.glob("*.sst"):
        _link(table, mended / table.name)
    damage, repaired = _copy_manifest(database, mended)
    if damage:  # RocksDB would ignore the tables that the rest of the manifest does not list
        for file in (*mended.glob("MANIFEST-*"), *mended.glob("CURRENT")):
            file.unlink()
    logs = [Path(shutil.copy(log, scratch)) for log in numbered(database.glob("*.log"))]
    logged = SalvagedLog()
    logged.rewrite(logs)
    repaired += _mend_tables(scratch)
    try:
        rows, base = _read_as_it_is(scratch, logs)
    except StoreError as error:
        damage.append(str(error))
        rows, base = _rebuild(scratch, logs)
        damage += [f"{table.name}: it cannot be read" for table in _left_out(mended)]
    return Damaged(rows, logged, base, damage, repaired)


def _mend_tables(scratch: Path) -> list[str]:
    """Flip back the flipped bits in tables, one at a time. Return where they were."""
    repaired: list[str] = []
    while (problems := _problems_of_tables(scratch)) and len(repaired) < MOST_REPAIRS:
        places = [tables.mend(scratch / DATABASE, problem) for problem in problems]
        if not any(places):
            break
        repaired += [place for place in places if place is not None]
    return repaired


def _problems_of_tables(scratch: Path) -> list[str]:
    """RocksDB's errors about tables that it cannot read: the first error of each family."""
    try:
        rows = DamagedRows(scratch)
    except StoreError as error:
        return [str(error)]
    problems = []
    for family in FAMILIES:
        try:
            for _ in rows.scan(family, b"", PAST_ANY_KEY):
                pass
        except StoreError as error:
            problems.append(str(error))
    rows.close()
    return problems


def _link(file: Path, to: Path) -> None:
    """Make a hard link, or a copy if that is not possible: table files are never changed."""
    try:
        os.link(file, to)
    except OSError:
        shutil.copy(file, to)


def _copy_manifest(database: Path, to: Path) -> tuple[list[str], list[str]]:
    """Copy the readable part of the manifest, which lists the other files. Return what is damaged
    in it and what was repaired.
    """
    source = _manifest(database)
    if source is None:
        return ["the manifest is missing"], []
    found = list(entries(source))
    write(to / source.name, [entry.content for entry in found if entry.content is not None])
    (to / "CURRENT").write_text(f"{source.name}\n")
    damage = [f"{source.name}, from byte {e.start}" for e in found if e.content is None]
    return damage, [f"{source.name}, from byte {e.start}: one bit" for e in found if e.repaired]


def _manifest(database: Path) -> Path | None:
    """The manifest that CURRENT names, or else the latest."""
    with suppress(OSError, ValueError):
        named = database / (database / "CURRENT").read_text().strip()
        if named.name.startswith("MANIFEST-") and named.is_file():
            return named
    found = [file for file in database.glob("MANIFEST-*") if file.name[9:].isdigit()]
    return max(found, key=lambda file: int(file.name[9:]), default=None)


def _read_as_it_is(scratch: Path, logs: Iterable[Path]) -> tuple[DamagedRows, int | None]:
    """Open the copy. It is opened without its logs first, to read the last commit in its tables."""
    tables = DamagedRows(scratch)
    base = _commit(tables)
    tables.close()
    for log in logs:
        _link(log, scratch / DATABASE / log.name)
    return DamagedRows(scratch), base


def _rebuild(scratch: Path, logs: list[Path]) -> tuple[DamagedRows, int | None]:
    """Let RocksDB make a new manifest of the tables that it can read, and write the batches of the
    logs again: RocksDB itself would ignore families that have no table yet.
    """
    for log in logs:
        (scratch / DATABASE / log.name).unlink(missing_ok=True)
    rows = DamagedRows(scratch, rebuild=True)
    base = _commit(rows)
    families: dict[int, str] = {}
    for batch in (entry.content for log in logs for entry in entries(log)):
        rows.write(_puts(batch or b"", families))
    return rows, base


def _puts(batch: bytes, families: dict[int, str]) -> list[Put]:
    """The batch, with the name of each family. The keys and values of a family show which it is."""
    found = list(operations(batch))
    for number, key, value in found:
        if value is not None and number not in families:
            families[number] = family_of(key, value)
    return [(families[number], key, value) for number, key, value in found if number in families]


def _left_out(database: Path) -> list[Path]:
    return sorted((database / "lost").glob("*.sst"))


def _commit(rows: DamagedRows) -> int | None:
    try:
        value = rows.get("meta", META_KEY)
        return 0 if value is None else msgspec.msgpack.decode(value, type=Meta).commit
    except (StoreError, *UNDECODABLE):
        return None

"""Save what can be read of a store that does not open any more.

The tasks that can be read are written to a new database, whose indexes and counts so come from the
tasks themselves; a copy of the damaged one stays beside it. What was acknowledged behind the damage
may be lost, and a task whose end is lost runs again: the report says how much that can be.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import msgspec

from oq.rules import keys
from oq.rules.keys import Meta
from oq.store.directory import DATABASE, MARK_FILE
from oq.store.holder import Holder
from oq.store.logfile import defuse, mend
from oq.store.rocks import RocksEngine, repair
from oq.store.store import Store
from oq.store.traces import Traces
from oq.words.clock import Clock
from oq.words.errors import StoreError, StoreLocked
from oq.words.messages import Change
from oq.words.task import Status

NEW = "salvaged"
DAMAGED = "damaged"
BATCH_BYTES = 8 << 20


@dataclass(frozen=True, slots=True)
class SalvageReport:
    """What came of it. Commits are numbered; each carries one step of a task's life, or many."""

    kept: dict[Status, int]
    dropped: int
    """Tasks of which there are traces, but not enough to keep them."""
    found: int
    """The last commit that could be read."""
    acknowledged: int
    """The last commit that is known to have been acknowledged; 0 when that is not known."""
    copy: str
    """Where the directory is as it was before."""


def salvage(path: str, clock: Clock | None = None) -> SalvageReport:
    """Make a store that opens out of the one in this data directory, of which a copy is kept.

    Raises StoreLocked when it is in use, StoreError when there is none, no room for a copy, or
    nothing in it that can be read.
    """
    directory = Path(path).resolve()
    if (directory / DAMAGED).is_dir() and not (directory / DATABASE).exists():
        (directory / DAMAGED).rename(directory / DATABASE)  # a salvage was killed as it ended
    if not (directory / DATABASE).is_dir():
        raise StoreError(f"there is no store in {path!r}")
    try:
        with Holder(directory).others_kept_out():
            copy = _copy_aside(directory, clock or Clock())
        return _rebuild(directory, copy)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise StoreError(f"cannot salvage {path!r}: {why}") from None


def _copy_aside(directory: Path, clock: Clock) -> Path:
    """Copy the directory to a new one beside it, named by the time."""
    named = f"{directory}.before-salvage-{clock.now():%Y%m%dT%H%M%SZ}"
    names = (Path(named if number == 1 else f"{named}-{number}") for number in count(1))
    copy = next(name for name in names if not name.exists())
    try:
        shutil.copytree(directory, copy)
    except OSError as error:  # shutil.Error is one too
        shutil.rmtree(copy, ignore_errors=True)
        raise StoreError(
            f"cannot keep a copy as {str(copy)!r}, so nothing was done: {error}"
        ) from None
    os.sync()
    return copy


def _rebuild(directory: Path, copy: Path) -> SalvageReport:
    for leftover in (NEW, DAMAGED):
        shutil.rmtree(directory / leftover, ignore_errors=True)
    damaged = _open_damaged(directory, copy)
    try:
        acknowledged = damaged.mark()
        traces = Traces(damaged)
        _write_anew(traces, RocksEngine(directory / NEW), acknowledged)
    finally:
        damaged.close()
    _exchange(directory)
    return SalvageReport(traces.kept, traces.dropped, traces.meta.commit, acknowledged, str(copy))


def _open_damaged(directory: Path, copy: Path) -> RocksEngine:
    database = directory / DATABASE
    defuse(database)
    for log in database.glob("*.log"):
        mend(log)
    _point_to_manifest(database)
    try:
        return RocksEngine(directory, salvage=True)
    except StoreLocked:
        raise
    except StoreError:
        repair(directory)
    try:
        return RocksEngine(directory, salvage=True)
    except StoreError as error:
        raise StoreError(
            f"nothing in {str(directory)!r} can be read any more; what it was is in {str(copy)!r}"
        ) from error


def _point_to_manifest(database: Path) -> None:
    """Without the file CURRENT, take the latest manifest."""
    manifests = sorted(database.glob("MANIFEST-*"), key=lambda file: int(file.name[9:]))
    if manifests and not (database / "CURRENT").exists():
        (database / "CURRENT").write_text(f"{manifests[-1].name}\n")


def _write_anew(traces: Traces, engine: RocksEngine, acknowledged: int) -> None:
    try:
        # The numbers go on after the last one given, so that no mark is ahead of them.
        last = max(traces.meta.commit, acknowledged)
        meta = msgspec.structs.replace(traces.meta, commit=last, counts=Meta().counts)
        engine.write([("meta", keys.META_KEY, msgspec.msgpack.encode(meta))])
        store = Store(engine)
        for batch in _batches(traces.tasks()):
            store.write(batch, meta.event_seq)
        store.sync()
    finally:
        engine.close()


def _batches(changes: Iterator[Change]) -> Iterator[list[Change]]:
    """The changes in lists that fit into memory."""
    batch: list[Change] = []
    size = 0
    for change in changes:
        batch.append(change)
        size += 1000 + len(change.result or b"") + (len(change.body.payload) if change.body else 0)
        if size > BATCH_BYTES:
            yield batch
            batch, size = [], 0
    yield batch


def _exchange(directory: Path) -> None:
    """Put the new database into the place of the old one."""
    new = directory / NEW
    (directory / DATABASE).rename(directory / DAMAGED)
    (new / DATABASE).rename(directory / DATABASE)
    (new / MARK_FILE).rename(directory / MARK_FILE)
    os.sync()
    shutil.rmtree(directory / DAMAGED)
    shutil.rmtree(new)

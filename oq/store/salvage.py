"""Save what can be read of a store that does not open any more.

The tasks that can be read are written to a new database, whose indexes and counts so come from the
tasks themselves. All is done in a directory beside the damaged database, which is only read; at the
end a few renames put the new one in its place and the damaged one aside, as it was. A salvage that
is broken off before these begins anew when it is run again, and one that is broken off among them
goes on.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

import msgspec
from msgspec.structs import replace

from oq.store import keys
from oq.store import report as reports
from oq.store.damaged import open_damaged
from oq.store.directory import DATABASE, MARK_FILE, SCRATCH, read_mark
from oq.store.engine import Put
from oq.store.lock_holder import LockHolder
from oq.store.migration import check_format, fresh_meta
from oq.store.permissions import belongs_as, close_to_others
from oq.store.report import SalvageReport
from oq.store.rocks import DamagedRows, RocksEngine
from oq.store.salvage_reader import SalvageReader
from oq.store.store import Store
from oq.words.clock import Clock
from oq.words.errors import StoreCorrupt, StoreError, StoreLocked
from oq.words.steps import Change
from oq.words.task import Status

NEW = "new"
BEFORE = "before"
REPORT = "report.json"
"""In the scratch directory; when it is there, all else is ready."""
BATCH_BYTES = 8 << 20


def salvage(path: str, clock: Clock | None = None) -> SalvageReport:
    """Make a store that opens out of the one in this data directory, which is kept beside it.

    Raises StoreLocked when it is in use, StoreError when there is none, no room for a new one, or
    nothing in it that can be read.
    """
    directory = Path(path).resolve()
    try:
        with _alone(directory):
            if not _is_begun(directory):
                _prepare(directory, clock or Clock())
            return _exchange(directory)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise StoreError(f"cannot salvage {path!r}, so nothing was done: {why}") from None


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Keep out other salvages, and whoever would open the store."""
    if not ((directory / DATABASE).is_dir() or (directory / SCRATCH / REPORT).exists()):
        raise StoreError(f"there is no store in {str(directory)!r}")
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if (directory / DATABASE).is_dir():
            with LockHolder(directory).others_kept_out():
                yield
        else:
            yield
    except BlockingIOError:
        raise StoreLocked(f"another salvage of {str(directory)!r} is under way") from None
    finally:
        os.close(handle)


def _is_begun(directory: Path) -> bool:
    """Whether a salvage was broken off in its exchange. Before it the store may have been opened
    again, and have new tasks.
    """
    ready = (directory / SCRATCH / REPORT).exists()
    untouched = (directory / SCRATCH / NEW / DATABASE).exists() and (directory / DATABASE).exists()
    return ready and not untouched


def _prepare(directory: Path, clock: Clock) -> None:
    """Make all that is to be exchanged, and the report."""
    scratch = directory / SCRATCH
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        scratch.mkdir(mode=0o700)
        close_to_others(directory)
        report = _rebuild(directory, clock)
        (scratch / BEFORE).mkdir()
        with suppress(FileNotFoundError):
            shutil.copy2(directory / MARK_FILE, scratch / BEFORE)
        belongs_as(scratch, directory)
        os.sync()
        unready = scratch / f"{REPORT}.unready"
        unready.write_bytes(reports.encode(report))
        belongs_as(unready, directory)
        unready.rename(scratch / REPORT)
        os.sync()
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise


def _rebuild(directory: Path, clock: Clock) -> SalvageReport:
    scratch = directory / SCRATCH
    damaged = open_damaged(directory / DATABASE, scratch / "damaged")
    acknowledged = read_mark(directory)
    logged = damaged.logged
    try:
        _check_format(damaged.rows)
        reader = SalvageReader(damaged.rows, logged, clock.now())
        found = reader.meta.commit if reader.meta else 0
        if found < acknowledged:
            logged.include_tail()
        _write_anew(reader, RocksEngine(scratch / NEW), max(found, acknowledged))
    finally:
        damaged.rows.close()
    time = f"{clock.now():%Y%m%dT%H%M%SZ}"
    missing = logged.gaps(damaged.base, acknowledged)
    return SalvageReport(
        kept=reader.kept,
        lost=reader.lost,
        changed=reader.changed,
        untraced=_untraced(reader),
        may_run_again=_may_run_again(reader, bool(missing), acknowledged > found),
        missing_commits=missing,
        found=found,
        acknowledged=acknowledged,
        damage=[*damaged.damage, *logged.damage, *sorted(reader.unreadable)],
        repaired=[*damaged.repaired, *logged.repaired],
        copy=str(_free(directory, f"before-salvage-{time}")),
        file=str(_free(directory, f"salvage-{time}", ".json")),
    )


def _check_format(rows: DamagedRows) -> None:
    """StoreError when a newer oq has written it: what this one does not know would be left out."""
    with suppress(StoreCorrupt):  # then its tasks are all that tells
        record = rows.get("meta", keys.META_KEY)
        if record is not None:
            check_format(record)


def _untraced(reader: SalvageReader) -> int:
    if reader.meta is None:
        return 0
    counted = sum(reader.meta.counts.values())
    return max(0, counted - sum(reader.kept.values()) - len(reader.lost))


def _may_run_again(reader: SalvageReader, gaps: bool, cut: bool) -> int:
    """How many of the tasks that will run may have ended in the commits that are missing."""
    waiting = reader.kept[Status.PENDING] + reader.kept[Status.RUNNING]
    if cut or (gaps and reader.meta is None):
        return waiting
    if not gaps or reader.meta is None:
        return 0
    counts = reader.meta.counts
    return max(0, waiting - counts[Status.PENDING] - counts[Status.RUNNING])


def _free(directory: Path, name: str, suffix: str = "") -> Path:
    """A path in the directory that nothing has yet."""
    names = (f"{name}{'' if number == 1 else f'-{number}'}{suffix}" for number in count(1))
    return next(directory / name for name in names if not (directory / name).exists())


def _write_anew(reader: SalvageReader, engine: RocksEngine, last: int) -> None:
    """The numbers of commits go on after `last`, so that no mark is ahead of them."""
    try:
        untied = reader.untied()
        new = fresh_meta()
        meta = replace(
            reader.meta or new, format=new.format, oq=new.oq, migrating=False,
            commit=last, counts=new.counts, unread=0, gone=sum(map(keys.is_gone_key, untied)),
        )  # fmt: skip
        rows: list[Put] = [("meta", key, value) for key, value in untied.items()]
        engine.write([*rows, ("meta", keys.META_KEY, msgspec.msgpack.encode(meta))])
        store = Store(engine)
        for batch in _batches(reader.tasks()):
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
        size += 1000 + (len(change.result) if isinstance(change.result, bytes) else 0)
        if change.stream is not None:
            size += sum(len(record) for _, record in change.stream.others)
        size += len(change.body.payload) if change.body else 0
        if size > BATCH_BYTES:
            yield batch
            batch, size = [], 0
    yield batch


def _exchange(directory: Path) -> SalvageReport:
    """Put the new database into the place of the old one. Each step is done once, however often
    this is begun.
    """
    scratch = directory / SCRATCH
    new, before = scratch / NEW, scratch / BEFORE
    report = reports.decode((scratch / REPORT).read_bytes())
    copy, file = directory / Path(report.copy).name, directory / Path(report.file).name
    if (new / DATABASE).exists():
        if (directory / DATABASE).exists():
            (directory / DATABASE).rename(before / DATABASE)
        if (new / MARK_FILE).exists():
            (new / MARK_FILE).rename(directory / MARK_FILE)
        (new / DATABASE).rename(directory / DATABASE)
    if before.exists():
        before.rename(copy)
    os.sync()
    (scratch / REPORT).rename(file)
    shutil.rmtree(scratch)
    return report

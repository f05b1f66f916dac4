"""RocksDB through rocksdict: the only module that knows either.

What was measured, and what follows:
- a synchronous write holds the GIL during its fsync, ``flush_wal(True)`` does not: so batches are
  written unsynced, and `sync`, which a thread may run, makes them durable;
- the recovery mode tolerates only a tail that is cut short; point-in-time recovery would drop whole
  acknowledged batches after one flipped bit, silently: it is used only for a tail that is torn in
  another way, and only when nothing that was acknowledged can have been in it (`wal`);
- a WAL that is lost whole leaves a consistent but older store: a high-water mark beside it, written
  after each sync, shows that (`mark`);
- dict-style iterators end silently on a corrupt block: iterate with RdictIter and ask `status()`;
- errors arrive as bare Exception with RocksDB's status text: they are translated here, once.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import structlog
from rocksdict import DBCompressionType, DBRecoveryMode, Options, Rdict, WriteBatch

from oq.rules.keys import FAMILIES
from oq.store.engine import Put
from oq.store.holder import Holder
from oq.store.wal import find_endless, only_torn
from oq.words.errors import StoreCorrupt, StoreError, StoreFull, StoreLocked

log = structlog.get_logger("oq.store")
T = TypeVar("T")

WRITE_BUFFER = 32 << 20
"""Bytes of a family's memtable before it is flushed to a table file."""

KEPT_INFO_LOGS = 3
MARK_FILE = "high-water"
DATABASE = "rocks"

_STRICT = DBRecoveryMode.tolerate_corrupted_tail_records()
_UP_TO_DAMAGE = DBRecoveryMode.point_in_time()
_SALVAGE = DBRecoveryMode.skip_any_corrupted_record()


class RocksEngine:
    """An open data directory. One process at a time: StoreLocked names the one that has it."""

    sync_blocks = True

    def __init__(self, path: str | Path, *, salvage: bool = False) -> None:
        self._path = Path(path)
        _make_directory(self._path)
        self._holder = Holder(self._path)
        _check_files(self._path)
        self._db = self._open(_SALVAGE if salvage else _STRICT)
        try:
            self._families = {name: self._db.get_column_family(name) for name in FAMILIES}
            self._handles = {name: self._db.get_column_family_handle(name) for name in FAMILIES}
            self._mark = self._translated(
                lambda: os.open(self._path / MARK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
            )
        except BaseException:
            self._db.close()
            raise
        self._failed: StoreError | None = None
        self._holder.announce()

    def get(self, family: str, key: bytes) -> bytes | None:
        value: bytes | None = self._translated(lambda: self._families[family].get(key))
        return value

    def write(self, batch: list[Put]) -> None:
        group = WriteBatch(raw_mode=True)
        handles = self._handles
        for family, key, value in batch:
            if value is None:
                group.delete(key, handles[family])
            else:
                group.put(key, value, handles[family])
        self._translated(lambda: self._db.write(group))

    def scan(
        self, family: str, low: bytes, high: bytes, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        rows = self._translated(self._families[family].iter)
        if reverse:
            rows.seek_for_prev(high)
            if rows.valid() and rows.key() == high:
                rows.prev()
        else:
            rows.seek(low)
        advance = rows.prev if reverse else rows.next
        while rows.valid():
            key: bytes = rows.key()
            if not low <= key < high:
                return
            yield key, rows.value()
            advance()
        self._translated(rows.status)

    def sync(self, commit: int) -> None:
        if self._failed is not None:
            raise self._failed  # the kernel may have dropped what it could not write: a second
            # sync would succeed, and mean nothing
        try:
            self._translated(lambda: self._db.flush_wal(True))
        except StoreError as error:
            self._failed = error
            raise
        # Not synced: the mark may be older than the store after a power cut, never newer. So it
        # does no harm either if there is no space for it.
        with suppress(OSError):
            os.pwrite(self._mark, commit.to_bytes(8, "big"), 0)

    def mark(self) -> int:
        """The highest commit number that was ever synced, as far as the mark beside the store
        knows; 0 when there is none."""
        return int.from_bytes(os.pread(self._mark, 8, 0), "big")

    def close(self) -> None:
        self._families.clear()
        self._handles.clear()
        try:
            self._translated(self._db.close)
        finally:
            os.close(self._mark)
            self._holder.leave()

    def _open(self, mode: DBRecoveryMode) -> Rdict:
        options = _options(mode)
        families = dict.fromkeys(FAMILIES, options)
        try:
            return Rdict(str(self._path / DATABASE), options, column_families=families)
        except Exception as error:
            text = str(error)
            if "lock" in text.lower() and "LOCK" in text:
                raise StoreLocked(self._holder.describe()) from None
            if mode is _STRICT and "Corruption" in text and self._only_torn():
                log.warning("dropped a batch that was torn before it was synced", reason=text)
                return self._open(_UP_TO_DAMAGE)
            raise _translate(error, self._path) from None

    def _only_torn(self) -> bool:
        try:
            mark = int.from_bytes((self._path / MARK_FILE).read_bytes(), "big")
        except FileNotFoundError:
            mark = 0
        return only_torn(self._path / DATABASE, _options, mark)

    def _translated(self, call: Callable[[], T]) -> T:
        try:
            return call()
        except Exception as error:
            raise _translate(error, self._path) from error


def _options(mode: DBRecoveryMode) -> Options:
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.create_missing_column_families(True)
    options.set_atomic_flush(True)
    options.set_wal_recovery_mode(mode)
    options.set_write_buffer_size(WRITE_BUFFER)
    options.set_compression_type(DBCompressionType.lz4())
    # Work that is done leaves tombstones in the status index; a table full of them is rewritten.
    options.add_compact_on_deletion_collector_factory(10_000, 5_000, 0.5)
    options.set_keep_log_file_num(KEPT_INFO_LOGS)
    options.set_max_background_jobs(2)
    return options


def _make_directory(path: Path) -> None:
    try:
        made = [parent for parent in (path, *path.parents) if not parent.exists()]
        path.mkdir(parents=True, exist_ok=True)
        if not os.access(path, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, "permission denied")
        database = path / DATABASE
        if not database.exists():
            database.mkdir()
            # RocksDB syncs the names in its own directory, and nobody the way to that.
            for new in (database, *made):
                _sync_directory(new.parent)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise StoreError(
            f"the data directory {str(path)!r} cannot be used: {why};"
            " choose another with --data-dir or queue.storage_path"
        ) from None


def _sync_directory(path: Path) -> None:
    with suppress(PermissionError):  # it may be searched, but not read
        directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def _check_files(path: Path) -> None:
    """Refuse what RocksDB would take for an empty database, and clear away, or never open."""
    database = path / DATABASE
    if not (database / "CURRENT").exists():
        if any(file.suffix in (".sst", ".log") for file in database.glob("*.*")):
            raise _damaged(path, "the file CURRENT is missing")
    for file, offset in find_endless(database):
        raise _damaged(path, f"byte {offset} of {file.name} is wrong")


def _damaged(path: Path, how: str) -> StoreCorrupt:
    return StoreCorrupt(
        f"the data in {path} is damaged ({how}); oq does not open it, so as not to lose what can be"
        f" saved: keep a copy, then run `oq salvage {path}`"
    )


def _translate(error: Exception, path: Path) -> StoreError:
    """RocksDB's status text as one of oq's errors."""
    if isinstance(error, StoreError):
        return error
    text = str(error)
    if "No space left" in text or "NoSpace" in text:
        return StoreFull(f"no space left on the disk of {path}; free some, nothing was lost")
    if "Corruption" in text:
        return _damaged(path, text)
    return StoreError(f"the store in {path} failed: {text}")

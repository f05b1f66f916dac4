"""RocksDB through rocksdict, which only this module and `wal` know.

What was measured, and what follows:
- a synchronous write holds the GIL during its fsync, ``flush_wal(True)`` does not: so batches are
  written unsynced, and `sync`, which a thread may run, makes them durable;
- the recovery mode tolerates only a tail that is cut short; point-in-time recovery would drop whole
  acknowledged batches after one flipped bit, silently: it is for tails that are torn in another
  way, when nothing that was acknowledged can have been in them (`wal`);
- a WAL that is lost whole leaves a consistent but older store: a high-water mark beside it, written
  after each sync, shows that (`mark`);
- dict-style iterators end silently on a corrupt block: iterate with RdictIter and ask `status()`;
- errors arrive as bare Exception with RocksDB's status text: they are translated (`refusals`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from rocksdict import (
    BlockBasedOptions,
    DBCompressionType,
    DBRecoveryMode,
    Options,
    Rdict,
    WriteBatch,
)

from oq.rules.keys import FAMILIES
from oq.store.directory import DATABASE, MARK_FILE, make_directory
from oq.store.engine import Put
from oq.store.holder import Holder
from oq.store.refusals import translate
from oq.store.wal import PAST_DAMAGE, STRICT, look
from oq.words.errors import StoreError, StoreLocked

T = TypeVar("T")

WRITE_BUFFER = 32 << 20
"""Bytes of a family's memtable before it is flushed to a table file."""

FILTER_BITS = 10
"""Bits of a table's filter for each key: one key in a hundred is looked for in vain."""
FILTER_SHARE = 0.02
"""Of a memtable, for its filter."""

KEPT_INFO_LOGS = 3


class RocksEngine:
    """An open data directory. One process at a time: StoreLocked names the one that has it."""

    sync_blocks = True

    def __init__(self, path: str | Path, *, salvage: bool = False) -> None:
        self._path = Path(path)
        make_directory(self._path)
        self._holder = Holder(self._path)
        self._db = self._open(salvage=salvage)
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
        try:
            value: bytes | None = self._families[family].get(key)
        except Exception as error:
            raise translate(error, self._path) from error
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

    def _open(self, *, salvage: bool) -> Rdict:
        mode = PAST_DAMAGE if salvage else self._look()
        options = _options(mode)
        families = dict.fromkeys(FAMILIES, options) | {"keys": _sparse(_options(mode))}
        try:
            return Rdict(str(self._path / DATABASE), options, column_families=families)
        except Exception as error:
            text = str(error)
            if "lock" in text.lower() and "LOCK" in text:
                raise StoreLocked(self._holder.describe()) from None
            raise translate(error, self._path) from None

    def _look(self) -> DBRecoveryMode:
        if self._holder.is_this_process():
            return STRICT  # RocksDB refuses that, and says so
        try:
            with self._holder.others_kept_out():
                return look(self._path, _options)
        except OSError as error:
            raise translate(error, self._path) from None

    def _translated(self, call: Callable[[], T]) -> T:
        try:
            return call()
        except Exception as error:
            raise translate(error, self._path) from error


def repair(path: Path) -> None:
    """Have RocksDB make a manifest that it can open out of the table files and logs. What it cannot
    read it moves aside.
    """
    try:
        Rdict.repair(str(path / DATABASE), _options(PAST_DAMAGE))
    except Exception as error:
        raise translate(error, path) from error


def _sparse(options: Options) -> Options:
    """For a family that is mostly asked for keys that it has not, as each new idempotency key is:
    without filters every table would be searched (measured with three: 5 us, 0.5 us with them).
    """
    tables = BlockBasedOptions()
    tables.set_bloom_filter(FILTER_BITS, False)
    options.set_block_based_table_factory(tables)
    options.set_memtable_whole_key_filtering(True)
    options.set_memtable_prefix_bloom_ratio(FILTER_SHARE)
    return options


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

"""RocksDB through rocksdict, which only this module and `wal` know.

What was measured, and what follows:
- a synchronous write holds the GIL during its fsync, ``flush_wal(True)`` does not: so batches are
  written unsynced, and `sync`, which a thread may run, makes them durable;
- the recovery mode tolerates only a tail that is cut short; point-in-time recovery would drop whole
  acknowledged batches after one flipped bit, silently. A tail that is torn in another way is cut
  off beforehand (`wal`);
- a WAL that is lost whole leaves a consistent but older store: a high-water mark beside it, written
  after each sync, shows that (`mark`);
- dict-style iterators end silently on a corrupt block: iterate with RdictIter and ask `status()`;
- errors arrive as bare Exception with RocksDB's status text: they are translated (`refusals`);
- blocks that were read stay in a cache, those of files that have been merged away too, until it is
  full: so a server's memory grows until then. All families share one, whose size is a setting.
  Without it RocksDB has 32 MB for each table factory.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

from rocksdict import (
    AccessType,
    BlockBasedOptions,
    Cache,
    ChecksumType,
    DBCompressionType,
    DBRecoveryMode,
    Options,
    Rdict,
    RdictIter,
    WriteBatch,
)

from oq.rules import open_files
from oq.store import forks, high_water
from oq.store.address_space import check_address_space
from oq.store.directory import DATABASE, IN_HAND, MARK_FILE, make_directory
from oq.store.engine import READ_CACHE, Put
from oq.store.errors import sync_failed, translate
from oq.store.keys import FAMILIES
from oq.store.lock_holder import LockHolder
from oq.store.permissions import close_to_others
from oq.store.running_page import RunningPage
from oq.store.wal import STRICT, look
from oq.words.errors import StoreError, StoreLocked

T = TypeVar("T")

WRITE_BUFFER = 4 << 20
"""Bytes of a family's memtable before it is flushed to a table file. That is memory of any server
that has been at work for a while. With eight times as much, 100,000 tasks in bulk take 65 MB more
and no less processor time, and write a tenth less to the disk.
"""

FILTER_BITS = 10
"""Bits of a table's filter for each key: one key in a hundred is looked for in vain."""
FILTER_SHARE = 0.02
"""Of a memtable, for its filter."""

KEPT_INFO_LOGS = 3


class _Rows:
    """Reading what is in a database, and closing it."""

    def __init__(self, path: Path, db: Rdict) -> None:
        self._path = path
        self._db = db
        self._families = {name: db.get_column_family(name) for name in FAMILIES}
        self._handles = {name: db.get_column_family_handle(name) for name in FAMILIES}

    def get(self, family: str, key: bytes) -> bytes | None:
        try:
            value: bytes | None = self._families[family].get(key)
        except Exception as error:
            raise translate(error, self._path) from error
        return value

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
        problem = _problem(rows)
        if problem is not None:
            # The error's traceback keeps what is here alive, and an iterator keeps RocksDB open.
            del rows, advance
            raise translate(problem, self._path) from problem

    def write(self, batch: list[Put]) -> None:
        group = WriteBatch(raw_mode=True)
        handles = self._handles
        for family, key, value in batch:
            if value is None:
                group.delete(key, handles[family])
            else:
                group.put(key, value, handles[family])
        self._translated(lambda: self._db.write(group))

    def close(self) -> None:
        self._families.clear()
        self._handles.clear()
        self._translated(self._db.close)

    def _translated(self, call: Callable[[], T]) -> T:
        try:
            return call()
        except Exception as error:
            raise translate(error, self._path) from error


class RocksEngine(_Rows):
    """An open data directory. One process at a time: StoreLocked names the one that has it.

    `read_cache` is how many bytes of what was read stay in memory, in blocks.
    """

    sync_blocks = True

    def __init__(self, path: str | Path, read_cache: int = READ_CACHE) -> None:
        forks.about_to_open()
        check_address_space()
        self._forked = False
        directory = Path(path)
        make_directory(directory)
        self._holder = LockHolder(directory)
        db = self._open(directory, Cache(read_cache))
        try:
            super().__init__(directory, db)
            close_to_others(directory)
            self._mark = self._translated(
                lambda: os.open(directory / MARK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
            )
        except BaseException:
            db.close()
            raise
        self._failed: StoreError | None = None
        self.running_page = RunningPage(directory / IN_HAND)
        self._holder.announce()
        forks.watch(self)

    def sync(self, commit: int) -> None:
        if self._forked:
            return  # a child has written nothing
        if self._failed is not None:
            raise self._failed  # the kernel may have dropped what it could not write: a second
            # sync would succeed, and mean nothing
        try:
            self._db.flush_wal(True)
        except Exception as error:
            # Final also where the disk is full: what was written before may be lost, or be there.
            self._failed = sync_failed(error, self._path)
            raise self._failed from error
        # Not synced: the mark may be older than the store after a power cut, never newer. So it
        # does no harm either if there is no space for it.
        with suppress(OSError):
            os.pwrite(self._mark, high_water.encode(commit), 0)

    def mark(self) -> int:
        """The highest commit number that was ever synced, as far as the mark beside the store
        knows; 0 when there is none."""
        return high_water.decode(os.pread(self._mark, high_water.SIZE, 0))

    def close(self) -> None:
        if self._forked:
            return
        forks.unwatch(self)
        try:
            super().close()
        finally:
            self.running_page.close()
            os.close(self._mark)
            self._holder.leave()

    def leave_to_parent(self) -> None:
        """In a forked child: have nothing more to do with the database, which the parent has open.
        From here on only `sync` and `close` work, and do nothing.
        """
        self._forked = True
        forks.never_free(self._db, *self._families.values(), *self._handles.values())
        self._db = self._families = self._handles = forks.GONE
        os.close(self._mark)
        self.running_page.leave_to_parent()
        self._holder.forget()

    def _open(self, path: Path, cache: Cache) -> Rdict:
        self._look(path, cache)
        options = _options(STRICT, cache)
        sparse = _sparse(_options(STRICT, cache), cache)
        families = dict.fromkeys(FAMILIES, options) | {"keys": sparse}
        try:
            return Rdict(str(path / DATABASE), options, column_families=families)
        except Exception as error:
            text = str(error)
            if "lock" in text.lower() and "LOCK" in text:
                raise StoreLocked(self._holder.describe()) from None
            raise translate(error, path) from None

    def _look(self, path: Path, cache: Cache) -> None:
        if self._holder.is_this_process():
            return  # RocksDB refuses that, and says so
        try:
            with self._holder.others_kept_out():
                look(path, partial(_options, cache=cache))
        except OSError as error:
            raise translate(error, path) from None


class DamagedRows(_Rows):
    """A damaged database, to be read, without a look beforehand. Without `rebuild` nothing in it is
    changed; with it RocksDB first makes a new manifest out of the table files, without those that
    it cannot read, and then it can be written to as well.
    """

    def __init__(self, path: Path, *, rebuild: bool = False) -> None:
        database, cache = str(path / DATABASE), Cache(READ_CACHE)
        options = _options(STRICT, cache)
        options.set_disable_auto_compactions(True)
        families = dict.fromkeys(FAMILIES, options)
        access = AccessType.read_write() if rebuild else AccessType.read_only()
        try:
            if rebuild:
                Rdict.repair(database, _options(STRICT, cache))
            db = Rdict(database, options, column_families=families, access_type=access)
        except Exception as error:
            raise translate(error, path) from error
        super().__init__(path, db)

    def close(self) -> None:
        with suppress(StoreError):  # it is damaged, and nobody opens it again
            super().close()


def _problem(rows: RdictIter) -> Exception | None:
    """Why an iterator has come to its end before the last row, if it has."""
    try:
        rows.status()
    except Exception as error:
        return error.with_traceback(None)  # which would keep `rows` alive
    return None


def _sparse(options: Options, cache: Cache) -> Options:
    """For a family that is mostly asked for keys that it has not, as each new idempotency key is:
    without filters every table would be searched (measured with three: 5 us, 0.5 us with them).
    """
    tables = _tables(cache)
    tables.set_bloom_filter(FILTER_BITS, False)
    options.set_block_based_table_factory(tables)
    options.set_memtable_whole_key_filtering(True)
    options.set_memtable_prefix_bloom_ratio(FILTER_SHARE)
    return options


def _tables(cache: Cache) -> BlockBasedOptions:
    """With the checksum from which follows which bit was flipped (`checksum`, `tables`)."""
    tables = BlockBasedOptions()
    tables.set_block_cache(cache)
    tables.set_checksum_type(ChecksumType.crc32c())
    return tables


def _options(mode: DBRecoveryMode, cache: Cache) -> Options:
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.create_missing_column_families(True)
    options.set_atomic_flush(True)
    options.set_wal_recovery_mode(mode)
    options.set_write_buffer_size(WRITE_BUFFER)
    options.set_block_based_table_factory(_tables(cache))
    options.set_compression_type(DBCompressionType.lz4())
    # Work that is done leaves tombstones in the status index; a table full of them is rewritten.
    options.add_compact_on_deletion_collector_factory(10_000, 5_000, 0.5)
    options.set_keep_log_file_num(KEPT_INFO_LOGS)
    options.set_max_background_jobs(2)
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit != resource.RLIM_INFINITY:
        options.set_max_open_files(open_files.tables(limit))
    return options

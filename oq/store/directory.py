"""The data directory: what is in it, and how it is made."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

from oq.store import high_water
from oq.store.errors import unfinished
from oq.store.permissions import check_is_ours, close_to_others
from oq.words.errors import StoreError

DATABASE = "rocks"
MARK_FILE = "high-water"
IN_HAND = "in-hand"
SCRATCH = "salvage-under-way"


def make_directory(path: Path) -> None:
    """Make the data directory if need be, and close it to other users. StoreError when it cannot
    be written to, or is not oq's to close; StoreCorrupt when a salvage of it has not ended.
    """
    database = path / DATABASE
    try:
        made = [parent for parent in (path, *path.parents) if not parent.exists()]
        if path.exists() and not path.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, "not a directory")
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        _check_writable(path)
        if (path / SCRATCH).exists() and not database.exists():
            raise unfinished(path)
        check_is_ours(path)
        close_to_others(path)
        if not database.exists():
            database.mkdir(mode=0o700)
            close_to_others(path)
            # RocksDB syncs the names in its own directory, and nobody the way to that.
            for new in (database, *made):
                _sync_directory(new.parent)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise StoreError(
            f"the data directory {str(path)!r} cannot be used: {why};"
            " choose another with --data-dir or queue.storage_path"
        ) from None


def _check_writable(path: Path) -> None:
    if os.statvfs(path).f_flag & os.ST_RDONLY:
        raise OSError(errno.EROFS, "read-only file system")
    if not os.access(path, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, "permission denied")


def read_mark(path: Path) -> int:
    """The highest commit number that was ever synced, as far as the mark in the data directory
    knows; 0 when there is none.
    """
    try:
        return high_water.decode((path / MARK_FILE).read_bytes())
    except FileNotFoundError:
        return 0


def _sync_directory(path: Path) -> None:
    with suppress(PermissionError):  # it may be searched, but not read
        directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

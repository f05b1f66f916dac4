"""The data directory: what is in it, and how it is made."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

from oq.words.errors import StoreError

DATABASE = "rocks"
MARK_FILE = "high-water"


def make_directory(path: Path) -> None:
    """Make the data directory if need be. StoreError when it cannot be written to."""
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


def read_mark(path: Path) -> int:
    """The highest commit number that was ever synced, as far as the mark in the data directory
    knows; 0 when there is none.
    """
    try:
        return int.from_bytes((path / MARK_FILE).read_bytes()[:8], "big")
    except FileNotFoundError:
        return 0


def _sync_directory(path: Path) -> None:
    with suppress(PermissionError):  # it may be searched, but not read
        directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

"""Says which process has a data directory open. RocksDB's own lock keeps other processes out."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from oq.store.directory import DATABASE
from oq.words.errors import StoreLocked

HOLDER_FILE = "holder"
LOCK_FILE = "LOCK"

_held: set[Path] = set()
"""The directories that this process has open. A process id would not tell: in a container the next
process has the same one."""


class LockHolder:
    """The file beside an open store that has the id of the process that opened it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._file = directory / HOLDER_FILE

    def announce(self) -> None:
        _held.add(self._directory.resolve())
        with suppress(OSError):  # a courtesy: a full disk must not keep the store shut
            self._file.write_text(f"{os.getpid()}\n")

    def leave(self) -> None:
        self.forget()
        with suppress(OSError):
            self._file.unlink()

    def forget(self) -> None:
        """This process does not have it, though the one may that it was forked from."""
        _held.discard(self._directory.resolve())

    def is_this_process(self) -> bool:
        return self._directory.resolve() in _held

    @contextmanager
    def others_kept_out(self) -> Iterator[None]:
        """Hold RocksDB's lock. StoreLocked when another process has it, or this one."""
        if self.is_this_process():  # to close the lock's file would be to let go of our own lock
            raise StoreLocked(self.describe())
        with (self._directory / DATABASE / LOCK_FILE).open("a") as lock:
            try:
                fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError):
                raise StoreLocked(self.describe()) from None
            yield

    def describe(self) -> str:
        """Why the directory cannot be opened, for people."""
        if self.is_this_process():
            return (
                f"the data directory {str(self._directory)!r} is in use by process {os.getpid()},"
                " which is this process: use the queue that is open already, or give this one"
                " another storage_path"
            )
        who = "another process"
        advice = "stop that one, or choose another directory (storage_path; --data-dir of oq serve)"
        with suppress(OSError, ValueError):
            holder = int(self._file.read_text())
            who = f"process {holder}"
            if holder == os.getppid() != 1:
                who += ", the parent of this one"
                advice = (
                    "open the queue in the process that serves requests only, not in the one that"
                    " reloads or forks it, or use oq.Client to share one between processes"
                )
        return f"the data directory {str(self._directory)!r} is in use by {who}; {advice}"

"""Who has a data directory open: RocksDB's lock keeps others out, this file says whom they meet."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

HOLDER_FILE = "holder"


class Holder:
    """The note that an open store leaves beside itself: the process id that has it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._file = directory / HOLDER_FILE

    def announce(self) -> None:
        with suppress(OSError):  # a courtesy: a full disk must not keep the store shut
            self._file.write_text(f"{os.getpid()}\n")

    def leave(self) -> None:
        with suppress(OSError):
            self._file.unlink()

    def describe(self) -> str:
        """Why the directory cannot be opened, for people."""
        try:
            who = f"process {int(self._file.read_text())}"
        except (OSError, ValueError):
            who = "another process"
        return (
            f"the data directory {str(self._directory)!r} is in use by {who};"
            " stop that one, or choose another with --data-dir"
        )

"""Writes a note in the data directory when oq ends its own process because the disk hangs.

The running tasks cannot be put back in the queue then. The next process that opens the directory
finds the note, and so does not count this end as a crash that those tasks caused.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

NOTE = "ended-by-oq"


class ShutdownNote:
    """The note of one data directory. Its methods never raise. Without the note, each running task
    counts one crash more.
    """

    def __init__(self, directory: str) -> None:
        self._file = Path(directory, NOTE)

    def write(self) -> None:
        """Write the note. This takes as long as the disk takes."""
        with suppress(OSError):
            self._file.touch()

    def is_there(self) -> bool:
        return self._file.exists()

    def remove(self) -> None:
        with suppress(OSError):
            self._file.unlink()

"""Writes a note in the data directory when oq ends its own process, and the running tasks cannot be
put back in the queue: the disk hangs, or is full.

The next process that opens the directory finds the note, and so does not count this end as a crash
that those tasks caused.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

NOTE = "ended-by-oq"
BLANK = "ended-by-oq.blank"
"""An empty file that the note is made of: a full disk may have no room for a new file."""


class ShutdownNote:
    """The note of one data directory. Its methods never raise. Without the note, each running task
    counts one crash more.
    """

    def __init__(self, directory: str) -> None:
        self._file = Path(directory, NOTE)
        self._blank = Path(directory, BLANK)

    def write(self) -> None:
        """Write the note. This takes as long as the disk takes."""
        if not self.is_there():
            with suppress(OSError):
                os.replace(self._blank, self._file)
        with suppress(OSError):
            self._file.touch()

    def is_there(self) -> bool:
        return self._file.exists()

    def remove(self) -> None:
        """Remove the note, and have a blank one ready."""
        with suppress(OSError):
            os.replace(self._file, self._blank)
        with suppress(OSError):
            self._blank.touch(0o600)

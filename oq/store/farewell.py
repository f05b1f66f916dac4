"""A note in the data directory: oq ends this process by itself, since the disk does not answer.

What runs then cannot be put back in line before the end. The next process that opens the directory
finds the note, and knows that what ran was not the cause.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

NOTE = "ended-by-oq"


class Farewell:
    """The note of one data directory. None of its methods raises; not to be able to write the note
    costs what runs a life.
    """

    def __init__(self, directory: str) -> None:
        self._file = Path(directory, NOTE)

    def leave(self) -> None:
        """Write it. That may take as long as the disk likes."""
        with suppress(OSError):
            self._file.touch()

    def is_there(self) -> bool:
        return self._file.exists()

    def take_back(self) -> None:
        with suppress(OSError):
            self._file.unlink()

"""Where a job notes when it was run: an array in shared memory, an entry a job.

All workers of a peer, whatever processes they are, write into it, and the producer reads it: so all
peers are observed alike, and at the cost of two stores a job.
"""

from __future__ import annotations

import mmap
import os
import time
from functools import cache

MOST_JOBS = 1_000_000
"""Of one round of one peer, pilots included. The file is sparse: what is not used costs nothing."""
_TIMES = MOST_JOBS
"""Where the times begin; the flags are before them, a byte a job."""


class Marks:
    """The marks in the file at `path`, which `create` has made."""

    def __init__(self, path: str) -> None:
        with open(path, "r+b") as file:
            self._memory = mmap.mmap(file.fileno(), MOST_JOBS * 9)
        self._times = memoryview(self._memory)[_TIMES:].cast("d")

    @staticmethod
    def create(path: str) -> None:
        with open(path, "wb") as file:
            file.truncate(MOST_JOBS * 9)

    def note(self, index: int) -> None:
        """The job is run now."""
        self._times[index] = time.monotonic()
        self._memory[index] = 1

    def first_missing(self, start: int, end: int) -> int | None:
        """The first job of `start` to `end` that has not run; None when all have."""
        index = self._memory.find(b"\0", start, end)
        return None if index < 0 else index

    def time(self, index: int) -> float:
        """When the job was run, on the monotonic clock."""
        return self._times[index]

    def last(self, start: int, end: int) -> float:
        """When the last of the jobs `start` to `end` was run."""
        return max(self._times[start:end])


@cache
def _own() -> Marks:
    return Marks(os.environ["PEER_MARKS"])


def note(index: int) -> None:
    """What every peer's job does, and all that it does."""
    _own().note(index)

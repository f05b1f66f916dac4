"""What the disk takes by itself: a small write and the fdatasync behind it, as each commit has."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.figures import percentile

WRITTEN = b"x" * 500
"""About what a commit of one task adds to RocksDB's log."""


class Disk:
    """A file that grows, where `$TMPDIR` says or in `place`."""

    def __init__(self, place: Path | None = None) -> None:
        self._file = tempfile.NamedTemporaryFile(dir=place, prefix="oq-bench-", buffering=0)  # noqa: SIM115

    def sync(self) -> float:
        """Milliseconds of one write and its fdatasync."""
        begun = time.perf_counter()
        self._file.write(WRITTEN)
        os.fdatasync(self._file.fileno())
        return (time.perf_counter() - begun) * 1e3

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()


def p50(times: int = 100, place: Path | None = None) -> float:
    """Milliseconds of a write and its fdatasync, one after the other, at the median."""
    with Disk(place) as disk:
        return percentile([disk.sync() for _ in range(times)], 0.5)

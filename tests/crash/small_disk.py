"""A real disk that is small enough to be filled."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

SIZE = "96m"
"""RocksDB writes again once there is room for a write buffer, which is 4 MB."""
CHUNK = 1 << 20


class SmallDisk:
    """A file system of its own, and a balloon on it that takes what is left of the space."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._balloon = path / "balloon"

    def fill(self) -> None:
        """Leave no byte free."""
        with self._balloon.open("ab", buffering=0) as balloon:
            size = CHUNK
            while size:
                try:
                    balloon.write(bytes(size))
                except OSError:
                    size //= 2

    def free(self) -> None:
        self._balloon.unlink()


@contextmanager
def small_disk(path: Path) -> Iterator[SmallDisk]:
    """A disk of 96 MB, mounted in this directory. The test is skipped where that is not allowed."""
    if os.getuid() != 0:
        pytest.skip("only root may mount a small tmpfs, on which a disk can be full")
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "oq-test", str(path)]
    mounted = subprocess.run(mount, capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"no tmpfs can be mounted here: {mounted.stderr.strip()}")
    try:
        yield SmallDisk(path)
    finally:
        subprocess.run(["umount", str(path)], check=True)

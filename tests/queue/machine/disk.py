"""Storage that survives: what the next store finds, after a close, a kill or a power cut."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from oq.store import MemoryEngine
from oq.store.engine import Engine, Put
from oq.store.keys import FAMILIES
from oq.store.rocks import RocksEngine


class PowerCut(Exception):
    """Raised in the midst of a sync: what would have come after it never happens."""


class Disk(Protocol):
    keeps_unsynced: bool
    """Whether what was written, and not synced, is there after a crash: so it is when only the
    process dies, for then the page cache lives on."""

    def open(self) -> Engine: ...
    def crash(self) -> None:
        """From now on nothing reaches what the next `open` finds."""
        ...

    def cut_at_next_sync(self, *, before: bool) -> None: ...
    def remove(self) -> None: ...


class MemoryDisk:
    """Keeps what was synced, and nothing else: a power cut at its worst."""

    keeps_unsynced = False

    def __init__(self) -> None:
        self._kept = MemoryEngine()
        self._open: _Synced | None = None

    def open(self) -> Engine:
        self._open = _Synced(self._kept)
        return self._open

    def crash(self) -> None:
        assert self._open is not None
        self._open.kept = MemoryEngine()

    def cut_at_next_sync(self, *, before: bool) -> None:
        assert self._open is not None
        self._open.cut = "before" if before else "after"

    def remove(self) -> None:
        pass


class _Synced(MemoryEngine):
    """Copies to `kept` what it is asked to sync."""

    def __init__(self, kept: MemoryEngine) -> None:
        super().__init__()
        self.kept = kept
        self.cut = ""
        self._unsynced: list[Put] = []
        for family in FAMILIES:
            pairs = kept.scan(family, b"", b"\xff" * 300)
            super().write([(family, key, value) for key, value in pairs])

    def write(self, batch: list[Put]) -> None:
        super().write(batch)
        self._unsynced.extend(batch)

    def sync(self, commit: int) -> None:
        cut, self.cut = self.cut, ""
        if cut == "before":
            self.kept = MemoryEngine()
        self.kept.write(self._unsynced)
        self._unsynced.clear()
        if cut:
            self.kept = MemoryEngine()
            raise PowerCut


class RocksDisk:
    """A directory; a crash goes on with a copy of it, taken while it was open."""

    keeps_unsynced = True

    def __init__(self) -> None:
        self._root = Path(tempfile.mkdtemp(prefix="oq-machine-"))
        self._lives = 0
        self._open: _Inline | None = None

    def open(self) -> Engine:
        self._open = _Inline(self, self._path)
        return self._open

    def crash(self) -> None:
        left = self._path
        self._lives += 1
        while True:
            before = _files(left)
            for name in before:
                (self._path / name).parent.mkdir(parents=True, exist_ok=True)
                with suppress(FileNotFoundError):
                    shutil.copyfile(left / name, self._path / name)
            if before == _files(left):  # RocksDB's own threads did nothing meanwhile
                return
            shutil.rmtree(self._path)

    def cut_at_next_sync(self, *, before: bool) -> None:
        assert self._open is not None
        self._open.cut = "before" if before else "after"

    def remove(self) -> None:
        shutil.rmtree(self._root)

    @property
    def _path(self) -> Path:
        return self._root / str(self._lives)


def _files(path: Path) -> dict[str, tuple[int, int]]:
    """All files but RocksDB's diary, with their sizes and times."""
    found = {}
    for file in path.rglob("*"):
        with suppress(FileNotFoundError):
            if file.is_file() and not file.name.startswith("LOG"):
                about = file.stat()
                found[str(file.relative_to(path))] = about.st_size, about.st_mtime_ns
    return found


class _Inline(RocksEngine):
    """Syncs where it is called, not in a thread: so a mock clock can tell when all is quiet."""

    sync_blocks = False

    def __init__(self, disk: RocksDisk, path: Path) -> None:
        super().__init__(path)
        self.cut = ""
        self._disk = disk

    def sync(self, commit: int) -> None:
        cut, self.cut = self.cut, ""
        if cut == "before":
            self._disk.crash()
            raise PowerCut
        super().sync(commit)
        if cut == "after":
            self._disk.crash()
            raise PowerCut

"""A disk as a power cut leaves it.

SIGKILL spares the page cache, so it shows no bug in syncing. Here each write-ahead log is cut to
what it held when the last finished sync began, plus a torn piece of what came after; the high-water
mark, which is never synced, is any that was written, or none. Table files and the manifest stay as
they are: RocksDB syncs these itself before it relies on them.
"""

from __future__ import annotations

import os
import random
import shutil
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

import trio
from trio.testing import wait_all_tasks_blocked

from oq.store import high_water
from oq.store.directory import DATABASE, MARK_FILE
from oq.store.logfile import ENDLESS
from oq.store.rocks import RocksEngine

SECTOR = 512
_READABLE = bytes(255 if byte in ENDLESS else byte for byte in range(256))
"""Garbage that RocksDB can be let read; what would keep it reading for ever has its own test."""

Sizes = dict[str, int]


class PowerCut(Exception):
    """The machine is off: nothing of this process goes on."""


class Moment(Enum):
    """When, in the life of a commit, the power goes."""

    WRITTEN = "written, not synced"
    SYNCED = "synced, nobody told yet"


class Tear(Enum):
    """What is left of the bytes that were not synced."""

    PREFIX = "the first of them"
    ZEROES = "the first of them, and zeroes for the rest"
    HOLE = "all of them but one sector, which is zeroes"
    GARBAGE = "the first of them, and anything for the rest"


@dataclass
class Disk:
    """What is certain to be on the platter."""

    durable: Sizes = field(default_factory=dict)
    """The size of each log up to which it was synced."""
    logs: set[str] = field(default_factory=set)
    """All logs that were ever written to."""
    marks: list[bytes] = field(default_factory=lambda: [b""])
    """All that was ever written to the high-water mark."""


@dataclass
class Plug:
    """Pulled at the `at`-th sync. `pulled` is called while the machine still stands."""

    at: int
    moment: Moment
    pulled: Callable[[], None]
    out: bool = False
    syncs: int = 0


class PowerEngine(RocksEngine):
    """An engine on such a disk, whose plug is pulled at a given sync."""

    def __init__(self, path: Path, disk: Disk, plug: Plug) -> None:
        super().__init__(path)
        self.path = path
        self.disk = disk
        self.plug = plug

    def sync(self, commit: int) -> None:
        if self.plug.out:
            return  # a process that is no more closes its store: it has no say in what is left
        self.plug.syncs += 1
        written = log_sizes(self.path)
        self.disk.logs |= written.keys()
        self._pull_if(Moment.WRITTEN)
        self.make_durable(commit, written)
        self._pull_if(Moment.SYNCED)

    def make_durable(self, commit: int, written: Sizes) -> None:
        super().sync(commit)
        self.disk.durable = written
        self.disk.marks.append((self.path / MARK_FILE).read_bytes())

    def _pull_if(self, moment: Moment) -> None:
        if self.plug.moment is moment and self.plug.syncs >= self.plug.at:
            if threading.current_thread() is not threading.main_thread():
                # Whoever can be told something before this sync has ended, is told now.
                trio.from_thread.run(wait_all_tasks_blocked)
            self.plug.out = True
            self.plug.pulled()
            raise PowerCut


class UnsyncedEngine(PowerEngine):
    """The mutant: it says that it has synced, and has not."""

    def make_durable(self, commit: int, written: Sizes) -> None:
        os.pwrite(self._mark, high_water.encode(commit), 0)
        self.disk.marks.append((self.path / MARK_FILE).read_bytes())


def log_sizes(path: Path) -> Sizes:
    sizes = {}
    for log in (path / DATABASE).glob("*.log"):
        with suppress(FileNotFoundError):  # RocksDB drops a log as soon as its tables are written
            sizes[log.name] = log.stat().st_size
    return sizes


def leave(path: Path, disk: Disk, chance: random.Random, tears: list[Tear]) -> tuple[Path, int]:
    """The directory as it is after the cut, and how many bytes had not been synced."""
    after = path.with_name(path.name + "+")
    while (logs := _copy(path / DATABASE, after / DATABASE)) is None:
        shutil.rmtree(after)
    unsynced = 0
    for name, content in logs.items():
        size = min(disk.durable.get(name, 0), len(content))
        unsynced += len(content) - size
        torn = tear(content[size:], size, chance, chance.choice(tears))
        (after / DATABASE / name).write_bytes(content[:size] + torn)
    mark = chance.choice([disk.marks[-1], chance.choice(disk.marks)])
    (after / MARK_FILE).write_bytes(mark)
    return after, unsynced


def tear(tail: bytes, offset: int, chance: random.Random, kind: Tear) -> bytes:
    """A torn piece of `tail`, which began at that offset of its file."""
    kept = tail[: chance.randint(0, len(tail))]
    lost = len(tail) - len(kept)
    match kind:
        case Tear.PREFIX:
            return kept
        case Tear.ZEROES:
            return kept + bytes(lost)
        case Tear.GARBAGE:
            return kept + chance.randbytes(lost).translate(_READABLE)
        case Tear.HOLE:
            first = chance.randint(offset // SECTOR, (offset + len(tail)) // SECTOR) * SECTOR
            low, high = max(first - offset, 0), max(first + SECTOR - offset, 0)
            return tail[:low] + bytes(len(tail[low:high])) + tail[high:]


def _copy(database: Path, to: Path) -> dict[str, bytes] | None:
    """Copy all but the logs, and give what is in these; None if RocksDB changed it meanwhile."""
    to.mkdir(parents=True)
    before = _fixed_files(database)
    try:
        for name in before:
            shutil.copyfile(database / name, to / name)
        logs = {log.name: log.read_bytes() for log in database.glob("*.log")}
    except FileNotFoundError:
        return None
    return logs if _fixed_files(database) == before else None


def _fixed_files(database: Path) -> dict[str, tuple[int, int]]:
    """The files that are not cut, but for RocksDB's own diary: their sizes and times."""
    found = {}
    for entry in os.scandir(database):
        if not entry.name.endswith(".log") and not entry.name.startswith(("LOG", "LOCK")):
            with suppress(FileNotFoundError):
                found[entry.name] = (entry.stat().st_size, entry.stat().st_mtime_ns)
    return found

"""What can happen to the files of a store that nobody has open."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

from oq.rules.filters import TaskFilter
from oq.store import Store, open_store
from oq.store.directory import DATABASE
from oq.words.errors import StoreCorrupt
from oq.words.task import Status, TaskState
from tests.support.builders import finish, new, start
from tests.support.stores import assert_consistent

TASKS_IN_A_LIFE = 40
LIVES = 3
TASKS = TASKS_IN_A_LIFE * LIVES


def live(path: Path) -> Path:
    """The data directory of a store that was opened and closed twice, and killed the third time:
    it has table files as well as a log. A third of its tasks are completed.
    """
    for life in range(LIVES):
        store = open_store(str(path / "live"))
        for number in range(life * TASKS_IN_A_LIFE, (life + 1) * TASKS_IN_A_LIFE):
            _add(store, number)
        if life == LIVES - 1:
            shutil.copytree(path / "live", path / "data")
        store.close()
    return path / "data"


def _add(store: Store, number: int) -> None:
    submitted = new(number, key=f"key {number}", prompt="x" * 200)
    store.write([submitted], 0)
    store.sync()
    if number % 3 == 0:
        started = start(submitted.state)
        store.write([started], 0)
        store.sync()
        store.write([finish(started.state)], 0)
        store.sync()


def read_all(path: Path) -> dict[str, TaskState]:
    """Open the store and read every task of it, by every index. StoreError when that is refused, or
    a task is told to be damaged; AssertionError when something is missing.
    """
    store = open_store(str(path))
    try:
        pending = list(store.pending())
        assert len(pending) == store.facts.counts[Status.PENDING]
        states = {state.id: state for state in store.newest(TaskFilter(limit=10_000))}
        for state in states.values():
            if state.damaged:
                raise StoreCorrupt(state.error or "")
            assert store.body(state.id) is not None
            assert store.claim(state.terms.idempotency_key or "") is not None
        assert_consistent(store, store._engine)
    finally:
        store.close()
    return states


def snapshot(path: Path) -> dict[str, bytes]:
    """Every file of the directory but RocksDB's diary and the lock."""
    return {
        str(file.relative_to(path)): file.read_bytes()
        for file in path.rglob("*")
        if file.is_file() and not file.name.startswith("LO")
    }


def the_log(path: Path) -> Path:
    """The write-ahead log that has something in it."""
    return max((path / DATABASE).glob("*.log"), key=lambda log: log.stat().st_size)


def manifest(path: Path) -> Path:
    (found,) = (path / DATABASE).glob("MANIFEST-*")
    return found


def largest_table(path: Path) -> Path:
    return max((path / DATABASE).glob("*.sst"), key=lambda table: table.stat().st_size)


def flip(file: Path, offset: int, bit: int = 4) -> None:
    with file.open("r+b") as content:
        content.seek(offset)
        (byte,) = content.read(1)
        content.seek(offset)
        content.write(bytes([byte ^ 1 << bit]))


def cut(file: Path, share: float) -> None:
    os.truncate(file, int(file.stat().st_size * share))


Harm = Callable[[Path, random.Random], object]


def _flip_anywhere(file: Path, chance: random.Random) -> None:
    flip(file, chance.randrange(file.stat().st_size), chance.randrange(8))


def _cut_anywhere(file: Path, chance: random.Random) -> None:
    cut(file, chance.random())


def _overwrite(file: Path, chance: random.Random) -> None:
    length = chance.choice([1, 10, 512, 4096])
    with file.open("r+b") as content:
        content.seek(chance.randrange(file.stat().st_size))
        content.write(chance.choice([bytes(length), chance.randbytes(length)]))


def _append(file: Path, chance: random.Random) -> None:
    with file.open("ab") as content:
        content.write(chance.randbytes(chance.choice([3, 100, 40_000])))


def _remove(file: Path, chance: random.Random) -> None:
    file.unlink()


HARMS: tuple[Harm, ...] = (
    _flip_anywhere,
    _cut_anywhere,
    _overwrite,
    _append,
    _remove,
)


def harm_anything(path: Path, chance: random.Random) -> str:
    """Damage a file at random; what was done to which."""
    kinds = ["*.log", "*.sst", "MANIFEST-*", "CURRENT"]
    files = [file for file in (path / DATABASE).glob(chance.choice(kinds)) if file.stat().st_size]
    file = chance.choice(sorted(files))
    harm = chance.choice(HARMS)
    harm(file, chance)
    return f"{harm.__name__} on {file.name}"

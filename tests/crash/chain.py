"""Power cuts on one directory, one after another: each goes on with what the last one left."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from oq.store import KeyValueLedger, Store, rocks

from . import integrity
from .ledger import Ledger, check_first_starts
from .load import finish, work_until_cut
from .power import Disk, Moment, Plug, PowerEngine, Tear, leave, log_sizes

SYNCS = 12
"""A cut comes at one of this many syncs, each in its turn."""
SMALL_BUFFER = 64 << 10
"""So that in some chains logs are rotated and table files written."""


@dataclass
class Chain:
    """Cuts on one directory, one after another, and the promises made all along."""

    path: Path
    chance: random.Random
    tears: list[Tear]
    engine: type[PowerEngine] = PowerEngine
    torn: int = 0
    """Cuts that found something unsynced."""

    def __post_init__(self) -> None:
        self.ledger = Ledger()
        self.disk = Disk()

    async def cut(self, number: int) -> None:
        """Work, cut, and see whether what is left keeps the promises when it is opened."""
        at, moment = 1 + 5 * number % SYNCS, list(Moment)[number % len(Moment)]
        plug = Plug(at, moment, self._pulled)
        await work_until_cut(self._open(plug), self.ledger, self.chance, f"{number}")
        shutil.rmtree(self.path)
        self.path = self.after

    async def finish(self) -> None:
        """Let the work end, and look at all of it."""
        await finish(self._open(Plug(10**9, Moment.SYNCED, lambda: None)), self.ledger)
        store = Store(rocks.RocksEngine(self.path))
        try:
            self.ledger.check(store)
            check_first_starts(integrity.check(store))
        finally:
            store.close()

    def _open(self, plug: Plug) -> KeyValueLedger:
        self.disk.durable = log_sizes(self.path)  # what there was before is on the platter
        engine = self.engine(self.path, self.disk, plug)
        try:
            tasks = KeyValueLedger(engine)
            self.ledger.check(tasks.store)
        except BaseException:
            engine.close()
            raise
        self.ledger.closed = False
        return tasks

    def _pulled(self) -> None:
        self.ledger.closed = True
        self.after, unsynced = leave(self.path, self.disk, self.chance, self.tears)
        self.torn += unsynced > 0
        self.disk = Disk(marks=[*self.disk.marks])


@contextmanager
def in_memory(otherwise: Path) -> Iterator[Path]:
    """A directory in memory if that can be: what a sync has made durable is kept account of, and a
    real one would only cost time.
    """
    shared = Path("/dev/shm")
    if not os.access(shared, os.W_OK):
        shared = otherwise
    with TemporaryDirectory(dir=shared, prefix="oq-power-") as made:
        yield Path(made)

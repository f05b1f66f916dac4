"""The ledgers that have to keep the promises: a new one is a line in LEDGERS."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from oq.store import KeyValueLedger, Ledger, MemoryEngine
from oq.store.rocks import RocksEngine

Kept = Callable[[], Ledger]
"""Opens the same ledger, again and again, with all that it keeps."""


def in_memory(directory: Path) -> Kept:
    engine = MemoryEngine()
    return lambda: KeyValueLedger(engine)


def in_a_directory(directory: Path) -> Kept:
    return lambda: KeyValueLedger(RocksEngine(directory / "data"))


LEDGERS: dict[str, Callable[[Path], Kept]] = {
    "memory": in_memory,
    "rocksdb": in_a_directory,
}


class Shelf:
    """Where one ledger is kept."""

    def __init__(self, kept: Kept) -> None:
        self._kept = kept

    @asynccontextmanager
    async def open(self, *, simulated: bool = False) -> AsyncIterator[Ledger]:
        ledger = self._kept()
        try:
            await ledger.enter(simulated=simulated)
            yield ledger
        finally:
            await ledger.close()


@pytest.fixture(params=LEDGERS)
def shelf(request: pytest.FixtureRequest, tmp_path: Path) -> Shelf:
    return Shelf(LEDGERS[request.param](tmp_path))

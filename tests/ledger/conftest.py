"""The ledgers that have to keep the promises: a new one is a line in LEDGERS."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from oq.rules.outbox import Outbox
from oq.store import KeyValueLedger, Ledger, MemoryEngine
from oq.store.rocks import RocksEngine

Kept = Callable[[Sequence[Outbox]], Ledger]
"""Opens the same ledger, again and again, with all that it keeps, and with these outboxes."""


def in_memory(directory: Path) -> Kept:
    engine = MemoryEngine()
    return lambda outboxes: KeyValueLedger(engine, outboxes)


def in_a_directory(directory: Path) -> Kept:
    return lambda outboxes: KeyValueLedger(RocksEngine(directory / "data"), outboxes)


LEDGERS: dict[str, Callable[[Path], Kept]] = {
    "memory": in_memory,
    "rocksdb": in_a_directory,
}


class Shelf:
    """Where one ledger is kept."""

    def __init__(self, kept: Kept) -> None:
        self._kept = kept

    @asynccontextmanager
    async def open(
        self, *, simulated: bool = False, outboxes: Sequence[Outbox] = ()
    ) -> AsyncIterator[Ledger]:
        ledger = self._kept(outboxes)
        try:
            await ledger.enter(simulated=simulated)
            yield ledger
        finally:
            await ledger.close()


@pytest.fixture(params=LEDGERS)
def shelf(request: pytest.FixtureRequest, tmp_path: Path) -> Shelf:
    return Shelf(LEDGERS[request.param](tmp_path))

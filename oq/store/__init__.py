"""Floor 2: the tasks on disk.

ledger        what the queue asks of whatever keeps its tasks, and the records that it gives
key_value     the ledger over an engine: commits that wait for the disk, reads that wait for those
store         writes a batch of steps, and reads records back (with batch_builder, streams, looks)
projections   what a step writes: one for each family of records, index and count; rows for an actor
              are those of an outbox (oq.rules.outbox)
engine        what is below: keys and values, in memory (memory) or in RocksDB (rocks, wal)
migration     brings a directory of an older format to today's
salvage       saves what can be read of a directory that does not open any more
"""

from oq.store.engine import READ_CACHE
from oq.store.key_value import KeyValueLedger
from oq.store.ledger import Durable, KeyClaim, Ledger, Parts, Record, Row, Slice, Waiting, Want
from oq.store.memory import MemoryEngine
from oq.store.store import Store

__all__ = [
    "Durable", "KeyClaim", "KeyValueLedger", "Ledger", "MemoryEngine", "Parts", "Record", "Row",
    "Slice", "Store", "Waiting", "Want", "open_ledger", "open_store",
]  # fmt: skip


def open_ledger(path: str, read_cache: int = READ_CACHE) -> KeyValueLedger:
    """The ledger in a data directory, which is made if need be.

    `read_cache` is how many bytes of what was read stay in memory. StoreLocked, StoreCorrupt or
    StoreError say why it cannot be opened.
    """
    from oq.store.rocks import RocksEngine

    engine = RocksEngine(path, read_cache)
    try:
        return KeyValueLedger(engine)
    except BaseException:
        engine.close()
        raise


def open_store(path: str, read_cache: int = READ_CACHE) -> Store:
    """What is written in a data directory, for tools and tests; see `open_ledger`."""
    return open_ledger(path, read_cache).store

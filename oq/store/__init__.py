"""Floor 3: the tasks on disk.

ledger        what the queue asks of whatever keeps its tasks, and the records that it gives
key_value     the ledger over an engine: commits that wait for the disk (sync_thread), reads that
              wait for those
store         writes a batch of steps (batch_builder), and reads records back: streams, looks;
              recent: what is still in memory; decoding: values that may be damaged; damaged_task:
              what is shown then; readable_rows: indexes that may be damaged
projections   what a step writes: one for each family of records, index and count; rows for an actor
              are those of an outbox (oq.rules.outbox)
keys          the keys of all records
engine        what is below: keys and values, in memory (memory) or in RocksDB (rocks)
wal           looks through RocksDB's log before it is opened; high_water: which commit was synced
directory     the files of a data directory: permissions, forks, lock_holder, address_space; errors:
              what RocksDB says, in words
running_page  which tasks run, in a page that outlives the process; shutdown_note: why it ended
migration     brings a directory of an older format (format_one) to today's
salvage       saves what can be read of a directory that does not open any more; report: what was
              lost; salvage_reader: its tasks; salvaged_log: its logs; damaged: a mended copy of
              RocksDB's files (logfile, batches, tables, checksum)
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

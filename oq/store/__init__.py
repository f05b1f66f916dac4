"""Floor 2: the tasks on disk."""

from oq.store.batch_builder import KeyClaim
from oq.store.engine import READ_CACHE
from oq.store.memory import MemoryEngine
from oq.store.store import Store, Waiting

__all__ = ["KeyClaim", "MemoryEngine", "Store", "Waiting", "open_store"]


def open_store(path: str, read_cache: int = READ_CACHE) -> Store:
    """The store in a data directory, which is made if need be.

    `read_cache` is how many bytes of what was read stay in memory.
    StoreLocked, StoreCorrupt or StoreError say why it cannot be opened.
    """
    from oq.store.rocks import RocksEngine

    engine = RocksEngine(path, read_cache)
    try:
        return Store(engine)
    except BaseException:
        engine.close()
        raise

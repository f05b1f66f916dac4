"""An engine that keeps everything in memory: for tests on a mock clock, and for queues that need
not survive."""

from __future__ import annotations

from collections.abc import Iterator

from sortedcontainers import SortedDict

from oq.store.engine import Put
from oq.store.keys import FAMILIES
from oq.store.running_page import RunningPage


class MemoryEngine:
    """The same order and the same batches as on disk; `sync` has nothing to do."""

    sync_blocks = False

    def __init__(self) -> None:
        self.running_page = RunningPage()
        self._families = {name: SortedDict() for name in FAMILIES}

    def get(self, family: str, key: bytes) -> bytes | None:
        value: bytes | None = self._families[family].get(key)
        return value

    def write(self, batch: list[Put]) -> None:
        for family, key, value in batch:
            if value is None:
                self._families[family].pop(key, None)
            else:
                self._families[family][key] = value

    def scan(
        self, family: str, low: bytes, high: bytes, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        pairs = self._families[family]
        for key in pairs.irange(low, high, inclusive=(True, False), reverse=reverse):
            yield key, pairs[key]

    def sync(self, commit: int) -> None:
        pass

    def mark(self) -> int:
        return 0

    def close(self) -> None:
        pass

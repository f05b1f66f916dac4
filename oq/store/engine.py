"""What the store asks of a key-value engine: ordered families of bytes, and batches that are
written whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from oq.store.running_page import RunningPage
from oq.words.config import QueueConfig

READ_CACHE = QueueConfig().read_cache
"""Bytes of what was read that stay in memory, for who opens a store without settings."""

Put = tuple[str, bytes, bytes | None]
"""A family, a key, and its new value; None deletes it."""


class Engine(Protocol):
    """Writes reach the disk for certain only when `sync` has returned."""

    @property
    def running_page(self) -> RunningPage:
        """The tasks that backends have, as far as this engine can keep them over the process."""
        ...

    @property
    def sync_blocks(self) -> bool:
        """Whether `sync` waits for a disk, and so belongs in a thread."""
        ...

    def get(self, family: str, key: bytes) -> bytes | None: ...

    def write(self, batch: list[Put]) -> None:
        """Apply the batch, whole. StoreFull when there is no space: nothing of it was applied."""
        ...

    def scan(
        self, family: str, low: bytes, high: bytes, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """The pairs with ``low <= key < high``, in key order or against it."""
        ...

    def sync(self, commit: int) -> None:
        """Return when all that was written, up to this commit number, is on disk."""
        ...

    def mark(self) -> int:
        """The highest commit number that is known to have been synced; 0 when nothing is known."""
        ...

    def close(self) -> None: ...

"""Waits until what was asked for is on disk."""

from __future__ import annotations

from oq.words.errors import Unavailable
from oq.words.receipts import Receipt

UNKNOWN = "the queue closed before it knew whether this is on disk; check before you try again"


class PendingReceipts:
    """The receipts that somebody waits for. When the queue ends, each of them gets an error."""

    def __init__(self) -> None:
        self._open: set[Receipt] = set()
        self._ended = False
        self._why = ""

    def check(self) -> None:
        """Return while the queue runs; Unavailable when it does not."""
        if self._ended:
            raise Unavailable(
                f"this queue has closed{self._why}; all that it acknowledged is on disk"
            )

    async def wait(self, receipt: Receipt) -> None:
        """`receipt.wait()`, or Unavailable when the queue ends first."""
        self.check()
        self._open.add(receipt)
        try:
            await receipt.wait()
        finally:
            self._open.discard(receipt)

    def end(self, why: str) -> None:
        """The queue has ended: all who wait get Unavailable."""
        self._ended, self._why = True, why
        for receipt in list(self._open):
            receipt.settle(Unavailable(UNKNOWN + why))

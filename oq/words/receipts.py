"""A receipt: it tells who waits that something is on disk, or why it is not."""

from __future__ import annotations

from collections.abc import Callable

import trio

from oq.words.errors import Unavailable

UNKNOWN = "the queue closed before it knew whether this is on disk; check before you try again"


class Receipt:
    """Tells who waits that something is on disk, or why it is not.

    `on_written` is called as soon as it is on disk, or refused; `on_settled` when it is answered,
    also if nobody waits any more.
    """

    __slots__ = ("_done", "_error", "_on_settled", "_on_written")

    def __init__(
        self,
        *,
        on_written: Callable[[], object] | None = None,
        on_settled: Callable[[], object] | None = None,
    ) -> None:
        self._done = trio.Event()
        self._error: Exception | None = None
        self._on_written = on_written
        self._on_settled = on_settled

    def written(self) -> None:
        if self._on_written is not None:
            self._on_written()
            self._on_written = None

    def settle(self, error: Exception | None = None) -> None:
        """Answer. The first answer holds."""
        if self._done.is_set():
            return
        self._error = error
        self._done.set()
        self.written()
        if self._on_settled is not None:
            self._on_settled()

    @property
    def settled(self) -> bool:
        """Whether it is answered."""
        return self._done.is_set()

    @property
    def error(self) -> Exception | None:
        """Why it is not on disk, once it is answered."""
        return self._error

    async def wait(self) -> None:
        """Return once it is on disk; raise what kept it from getting there."""
        await self._done.wait()
        if self._error is not None:
            raise self._error


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

"""Which results were read: noted in memory, and told to the store some hundred at a time."""

from __future__ import annotations

from contextlib import suppress

import trio

from oq.words.messages import Commit
from oq.words.steps import ResultsRead
from oq.words.task import TaskState

AT_ONCE = 500
MOST = 100_000
"""Notes that are kept while the store cannot write; what is read beyond them counts as unread."""


class Reads:
    """Only for tasks that are kept until they were read. A note that a crash loses keeps its task
    longer than need be, until its time is over."""

    def __init__(self, to_writer: trio.MemorySendChannel[Commit]) -> None:
        self._to_writer = to_writer
        self._noted: set[str] = set()

    def note(self, state: TaskState) -> None:
        """Somebody is given this ended task with its result."""
        if state.awaited and len(self._noted) < MOST:
            self._noted.add(state.id)
            if len(self._noted) % AT_ONCE == 0:
                self.tell()

    def tell(self) -> None:
        """Have the store note what was read so far, if it takes anything now."""
        if self._noted:
            with suppress(trio.WouldBlock):
                step = ResultsRead(frozenset(self._noted))
                self._to_writer.send_nowait(Commit([step], patient=True))
                self._noted = set()

    def put_back(self, read: frozenset[str]) -> None:
        """These were taken, and could not be told: another time."""
        self._noted |= read

    def take(self) -> frozenset[str]:
        """What was read and not told so far, for the caller to tell."""
        taken, self._noted = frozenset(self._noted), set()
        return taken

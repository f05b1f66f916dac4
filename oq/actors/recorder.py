"""The recorder: it has what happened lately kept on disk, so that charts survive a restart."""

from __future__ import annotations

import trio

from oq.rules.history import History
from oq.words.clock import Clock
from oq.words.errors import OqError
from oq.words.messages import Commit
from oq.words.receipts import Receipt

INTERVAL = 5.0
"""Seconds between two writings: a crash loses what happened since the last one."""


class Recorder:
    """Sleeps until something has happened. When the disk is full nothing is lost: it tries again
    with what happens next.
    """

    def __init__(
        self, history: History, clock: Clock, to_writer: trio.MemorySendChannel[Commit]
    ) -> None:
        self._history = history
        self._clock = clock
        self._to_writer = to_writer
        self._news = trio.Event()
        history.on_change = self._notice

    async def run(self) -> None:
        """Write now and then until cancelled."""
        with self._to_writer:
            while True:
                await self._news.wait()
                await trio.sleep(INTERVAL)
                self._news = trio.Event()
                await self._write()

    async def _write(self) -> None:
        steps = self._history.steps(self._clock.now())
        receipt = Receipt()
        await self._to_writer.send(Commit([*steps], receipt, patient=True))
        try:
            await receipt.wait()
        except OqError:
            self._history.note_unkept(steps)

    def _notice(self) -> None:
        self._news.set()

"""The storage writer: the only one that writes to the ledger.

It takes everything that waits and has the ledger keep it in one commit. Only when that is safe does
it pass it on and have it answered: durable, then visible. So the number of syncs does not grow with
the load, and no submit waits for more than two of them.
"""

from __future__ import annotations

from contextlib import suppress

import structlog
import trio

from oq.rules.lifecycle import tell
from oq.store import Ledger
from oq.words.channels import put
from oq.words.clock import Clock
from oq.words.errors import StoreError, StoreFull, Unavailable
from oq.words.events import Event
from oq.words.messages import Commit, Committed
from oq.words.steps import Step

log = structlog.get_logger("oq.writer")

BATCH_STEPS = 4000
"""Steps in one batch, so that the first of them does not wait for a thousand more."""

RETRY_INTERVAL = 1.0
"""Seconds between two tries at writing while the disk is full."""

TURNS = 3
"""Turns of the event loop from an answer to the next thing that who got it asks for, and from the
start of a task to its end, if that takes no time."""

LAST_TRY = 10.0
"""Seconds that the last try at writing may wait for the disk, when the queue closes."""

BACKLOG = 256
"""Commits of what has already happened that are kept in memory while the disk is full."""


class Writer:
    """`problem` says why nothing can be written, while that is so."""

    def __init__(
        self,
        ledger: Ledger,
        clock: Clock,
        inbox: trio.MemoryReceiveChannel[Commit],
        readers: tuple[trio.MemorySendChannel[Committed], ...],
    ) -> None:
        self.problem: str | None = None
        self._ledger = ledger
        self._clock = clock
        self._inbox = inbox
        self._readers = readers
        self._backlog: list[Commit] = []  # without a receipt, and refused by a full disk
        self._answered = False  # whether somebody was by the last batch

    async def run(self) -> None:
        """Write until cancelled."""
        try:
            while True:
                if self.problem is not None:
                    await self._wait_for_space()
                await self._commit(await self._gather())
        finally:
            with trio.move_on_after(LAST_TRY, shield=True):
                await self._write_backlog()
            for reader in self._readers:
                reader.close()

    async def _gather(self) -> list[Commit]:
        """All that waits, at least one; what a full disk had refused comes first."""
        if self._answered:
            # Who was answered often asks for more at once. Given the turns to do so, it shares the
            # next sync with what its last request has started, and does not wait for that one.
            await _give_way()
        commits, self._backlog = self._backlog, []
        if not commits:
            commits.append(await self._inbox.receive())
            if commits[0].patient:
                await _give_way()
        steps = 0
        with suppress(trio.WouldBlock, trio.EndOfChannel):
            while steps < BATCH_STEPS:
                commit = self._inbox.receive_nowait()
                commits.append(commit)
                steps += len(commit.steps)
        return commits

    async def _wait_for_space(self) -> None:
        """Look now and then whether the disk has space again, also if nobody asks for it.

        Meanwhile who asks is refused, and what has already happened is kept, up to BACKLOG: beyond
        it the senders wait, and with them the slots, so that finished work cannot pile up.
        """
        while self.problem is not None:
            with trio.move_on_after(RETRY_INTERVAL):
                while len(self._backlog) < BACKLOG:
                    self._refuse([await self._inbox.receive()], self.problem)
                await trio.sleep_forever()
            try:
                await self._ledger.commit([], self._ledger.facts.event_seq)
            except StoreFull as error:
                self.problem = str(error)
            else:
                log.info("store writes again")
                self.problem = None

    async def _write_backlog(self) -> None:
        """At the end, try once more. What is lost by giving up was not acknowledged: these tasks
        stand as running, and run again.
        """
        steps = [step for commit in self._backlog for step in commit.steps]
        if steps:
            try:
                await self._keep(steps)
            except StoreError as error:
                log.critical("gave up writing", steps=len(steps), reason=str(error))

    async def _commit(self, commits: list[Commit]) -> None:
        steps = [step for commit in commits for step in commit.steps]
        receipts = [commit.receipt for commit in commits if commit.receipt is not None]
        events: list[Event] = []
        owners: list[str | None] = []
        if steps:
            try:
                events, owners = await self._keep(steps)
            except StoreFull as error:
                log.warning("store cannot write", reason=str(error))
                self._refuse(commits, str(error))
                return
            for receipt in receipts:
                receipt.written()
        self._answered = bool(receipts)
        committed = Committed(steps, events, owners, receipts)
        for reader in self._readers:
            await put(reader, committed)

    async def _keep(self, steps: list[Step]) -> tuple[list[Event], list[str | None]]:
        """Have the ledger keep the steps; see `tell` for what this gives. StoreFull. Any other
        error is final and ends the process, unanswered: it is not known what is on disk.
        """
        seq = self._ledger.facts.event_seq
        events, owners = tell(steps, seq, self._clock.now())
        await self._ledger.commit(steps, seq + len(events))
        return events, owners

    def _refuse(self, commits: list[Commit], problem: str) -> None:
        """The disk is full: answer those that ask, and keep what has already happened."""
        self.problem = problem
        for commit in commits:
            if commit.receipt is not None:
                commit.receipt.settle(Unavailable(problem))
            else:
                self._backlog.append(commit)


async def _give_way() -> None:
    for _ in range(TURNS):
        await trio.lowlevel.checkpoint()

"""The storage writer: the only one that writes to the store.

It takes everything that waits, writes it as one unsynced batch, makes that durable with one sync in
a thread, and only then passes it on and has it answered: durable, then visible. So the number of
syncs does not grow with the load, and no submit waits for more than two of them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Generic, TypeVar

import structlog
import trio

from oq.actors.sync_thread import SyncThread
from oq.rules.lifecycle import tell
from oq.store import Store
from oq.words.channels import put
from oq.words.clock import Clock
from oq.words.errors import StoreError, StoreFull, Unavailable
from oq.words.messages import Commit, Committed

log = structlog.get_logger("oq.writer")
T = TypeVar("T")

BATCH_STEPS = 4000
"""Steps in one batch, so that the first of them does not wait for a thousand more."""

RETRY_INTERVAL = 1.0
"""Seconds between two tries at writing while the disk is full."""

TURNS = 3
"""Turns of the event loop from an answer to the next thing that who got it asks for, and from the
start of a task to its end, if that takes no time."""

BACKLOG = 256
"""Commits of what has already happened that are kept in memory while the disk is full."""


class Writer:
    """`problem` says why nothing can be written, while that is so."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        inbox: trio.MemoryReceiveChannel[Commit],
        readers: tuple[trio.MemorySendChannel[Committed], ...],
    ) -> None:
        self.problem: str | None = None
        self._store = store
        self._clock = clock
        self._inbox = inbox
        self._readers = readers
        self._backlog: list[Commit] = []  # without a receipt, and refused by a full disk
        self._in_flight: Collection[str] = ()  # written, not yet synced
        self._looks: list[_Look[object]] = []
        self._thread = SyncThread(store.sync)
        self._answered = False  # whether somebody was by the last batch

    async def run(self) -> None:
        """Write until cancelled."""
        try:
            with self._thread:
                while True:
                    if self.problem is not None:
                        await self._wait_for_space()
                    await self._commit(await self._gather())
        finally:
            self._write_backlog()
            for reader in self._readers:
                reader.close()

    async def read(self, task_id: str | None, look: Callable[[], T]) -> T:
        """`look` at the store when it shows nothing of this task (None: of any task) that a power
        cut could still take back.
        """
        if not self._in_flight or (task_id is not None and task_id not in self._in_flight):
            return look()
        waiting = _Look(look)
        self._looks.append(waiting)  # type: ignore[arg-type]  # each gives its own T back
        return await waiting.wait()

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
                self._store.write([], self._store.event_seq)
            except StoreFull as error:
                self.problem = str(error)
            else:
                await self._make_durable(())
                log.info("store writes again")
                self.problem = None

    def _write_backlog(self) -> None:
        """At the end, try once more. What is lost by giving up was not acknowledged: these tasks
        stand as running, and run again.
        """
        steps = [step for commit in self._backlog for step in commit.steps]
        if steps:
            try:
                events = tell(steps, self._store.event_seq, self._clock.now())
                self._store.write(steps, self._store.event_seq + len(events))
            except StoreError as error:
                log.critical("gave up writing", steps=len(steps), reason=str(error))

    async def _commit(self, commits: list[Commit]) -> None:
        steps = [step for commit in commits for step in commit.steps]
        receipts = [commit.receipt for commit in commits if commit.receipt is not None]
        events = tell(steps, self._store.event_seq, self._clock.now())
        if steps:
            try:
                written = self._store.write(steps, self._store.event_seq + len(events))
            except StoreFull as error:
                log.warning("store cannot write", reason=str(error))
                self._refuse(commits, str(error))
                return
            for receipt in receipts:
                receipt.written()
            # Before the next batch is written: recovery relies on it that at most the last batch
            # was not synced (see `oq.store.wal`), though starts could well wait for company.
            await self._make_durable(written)
        self._answered = bool(receipts)
        committed = Committed(steps, events, receipts)
        for reader in self._readers:
            await put(reader, committed)

    async def _make_durable(self, tasks: Collection[str]) -> None:
        """Return when the batch that was written last is on disk; it changes these tasks."""
        if self._store.sync_blocks:
            self._in_flight = tasks
            # A failed sync is final, its outcome unknown: the error ends the process, unanswered.
            await self._thread.do()
            self._in_flight = ()
            looks, self._looks = self._looks, []
            for look in looks:
                look.take()
        else:
            self._store.sync()

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


class _Look(Generic[T]):
    """A read that waits for the sync under way."""

    def __init__(self, look: Callable[[], T]) -> None:
        self._look = look
        self._taken = trio.Event()
        self._seen: T
        self._error: Exception | None = None

    def take(self) -> None:
        try:
            self._seen = self._look()
        except Exception as error:  # it belongs to the one who reads
            self._error = error
        self._taken.set()

    async def wait(self) -> T:
        await self._taken.wait()
        if self._error is not None:
            raise self._error
        return self._seen

"""The storage writer: the only one that writes to the store.

It takes everything that waits, writes it as one unsynced batch, makes that durable with one sync in
a thread, and only then passes it on and has it answered: durable, then visible. So the number of
syncs does not grow with the load, and no submit waits for more than two of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import structlog
import trio

from oq.store import Store
from oq.words.clock import Clock
from oq.words.errors import StoreFull, Unavailable
from oq.words.events import Event
from oq.words.messages import Change, Commit, Committed, SetPaused, Step, put

log = structlog.get_logger("oq.writer")
T = TypeVar("T")

BATCH_STEPS = 4000
"""Steps in one batch, so that the first of them does not wait for a thousand more."""

RETRY_INTERVAL = 1.0
"""Seconds between two tries at writing while the disk is full."""


LAST_TRIES = 3
"""How often it is tried again at shutdown."""


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
        self._last_tries = 0
        self._in_flight: frozenset[str] = frozenset()  # written, not yet synced
        self._looks: list[_Look[object]] = []

    async def run(self) -> None:
        """Write until every sender has closed, and all that was sent is on disk."""
        try:
            while (commits := await self._gather()) is not None:
                await self._commit(commits)
        finally:
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

    async def _gather(self) -> list[Commit] | None:
        """All that waits, what was refused before first; None when every sender has closed.

        While the disk is full it is tried again now and then, be it with nothing to write: else
        nobody would find out that there is space.
        """
        commits, self._backlog = self._backlog, []
        steps = 0
        try:
            with trio.move_on_after(float("inf") if self.problem is None else RETRY_INTERVAL):
                commits.append(await self._inbox.receive())
            while steps < BATCH_STEPS:
                commit = self._inbox.receive_nowait()
                commits.append(commit)
                steps += len(commit.steps)
        except trio.WouldBlock:
            pass
        except trio.EndOfChannel:
            if commits and self.problem is not None:
                return await self._last_try(commits)
            return commits or None
        return commits

    async def _last_try(self, commits: list[Commit]) -> list[Commit] | None:
        """Everybody has left and the disk is full. What is lost by giving up was not acknowledged:
        these tasks stand as running, and run again.
        """
        self._last_tries += 1
        if self._last_tries > LAST_TRIES:
            log.error("gave up writing", commits=len(commits), reason=self.problem)
            return None
        await trio.sleep(RETRY_INTERVAL)
        return commits

    async def _commit(self, commits: list[Commit]) -> None:
        steps = [step for commit in commits for step in commit.steps]
        receipts = [commit.receipt for commit in commits if commit.receipt is not None]
        events = self._events(steps)
        seq = events[-1].seq if events else self._store.event_seq
        if steps or self.problem is not None:
            try:
                self._store.write(steps, seq)
            except StoreFull as error:
                self._refuse(commits, error)
                return
            for receipt in receipts:
                receipt.written()
            if self.problem is not None:
                log.info("store writes again")
                self.problem = None
            # Before the next batch is written: recovery relies on it that at most the last batch
            # was not synced (see `oq.store.wal`), though starts could well wait for company.
            await self._make_durable(steps)
        committed = Committed(steps, events, receipts)
        for reader in self._readers:
            await put(reader, committed)

    async def _make_durable(self, steps: list[Step]) -> None:
        if self._store.sync_blocks:
            self._in_flight = frozenset(
                step.state.id for step in steps if not isinstance(step, SetPaused)
            )
            # A failed sync is final, its outcome unknown: the error ends the process, unanswered.
            await trio.to_thread.run_sync(self._store.sync)
            self._in_flight = frozenset()
            looks, self._looks = self._looks, []
            for look in looks:
                look.take()
        else:
            self._store.sync()

    def _refuse(self, commits: list[Commit], error: StoreFull) -> None:
        """The disk is full: answer those that ask, and keep what has already happened."""
        if self.problem is None:
            log.error("store cannot write", reason=str(error))
        self.problem = str(error)
        for commit in commits:
            if commit.receipt is not None:
                commit.receipt.settle(Unavailable(str(error)))
            else:
                self._backlog.append(commit)

    def _events(self, steps: list[Step]) -> list[Event]:
        seq = self._store.event_seq
        now = self._clock.now()
        return [
            Event(seq + n, step.state.id, step.event, step.state.status, now, step.data)
            for n, step in enumerate(
                (step for step in steps if isinstance(step, Change) and step.event), start=1
            )
            if step.event is not None
        ]


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

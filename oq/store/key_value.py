"""A ledger over a key-value engine: in memory, or in a directory with RocksDB.

The `Store` says what each step writes and reads it back, and its reads show what is written. Here
is what makes a ledger of it: a commit that waits for the disk in a thread, and reads that wait for
the commit under way.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Sequence
from contextlib import ExitStack
from itertools import islice
from typing import Generic, TypeVar

import trio

from oq.rules.facts import Facts
from oq.rules.filters import TaskFilter
from oq.rules.outbox import Outbox
from oq.rules.outboxes import OUTBOXES
from oq.rules.retention import Ended
from oq.rules.stream_log import StreamLog
from oq.store import looks
from oq.store.engine import Engine
from oq.store.ledger import Gone, KeyClaim, Parts, Record, Row, Slice, Waiting, Want
from oq.store.store import Store
from oq.store.sync_thread import SyncThread
from oq.words.errors import NotFound, StoreCorrupt, Unavailable
from oq.words.steps import Step
from oq.words.task import Body, TaskState

T = TypeVar("T")

WAITING_AT_ONCE = 4096
"""Pending tasks that recovery is given at once."""


class KeyValueLedger:
    """See `oq.store.ledger.Ledger`. It waits for nothing but the disk: its other verbs answer at
    once. `store` is for tests and tools that look at what is written.
    """

    def __init__(self, engine: Engine, outboxes: Sequence[Outbox] = OUTBOXES) -> None:
        self.store = Store(engine, outboxes)
        self.running_page = engine.running_page
        self._gate = _Gate()
        self._durable = _Durable(self.store, self._gate)
        self._sync_blocks = engine.sync_blocks
        self._thread: SyncThread | None = None
        self._exits = ExitStack()

    @property
    def durable(self) -> _Durable:
        return self._durable

    @property
    def facts(self) -> Facts:
        return self.store.facts

    async def enter(self, *, simulated: bool) -> None:
        self.store.enter(simulated=simulated)

    async def close(self) -> None:
        try:
            self._exits.close()
        finally:
            try:
                self.store.close()
            finally:
                self._gate.end("the queue has closed")

    async def commit(self, steps: Sequence[Step], event_seq: int) -> None:
        # Recovery relies on it that at most the last batch was not synced (see `oq.store.wal`).
        if not self.store.synced:
            await self._sync()
        self._gate.close(self.store.write(steps, event_seq))
        await self._sync()

    async def _sync(self) -> None:
        """Return when all that was written is on disk."""
        try:
            if self._sync_blocks:
                if self._thread is None:
                    self._thread = self._exits.enter_context(SyncThread(self.store.sync))
                await self._thread.do()
            else:
                self.store.sync()
        except Exception as error:  # it is final, and its outcome unknown
            self._gate.end(str(error))
            raise
        self._gate.open()

    async def state(self, task_id: str) -> TaskState:
        return self.store.known(task_id)

    async def states(self, task_ids: Iterable[str]) -> dict[str, TaskState | NotFound]:
        found: dict[str, TaskState | NotFound] = {}
        for task_id in task_ids:
            try:
                found[task_id] = self.store.known(task_id)
            except NotFound as error:
                found[task_id] = error
            except StoreCorrupt:  # neither its record nor the index tells of it
                found[task_id] = NotFound(task_id)
        return found

    async def body(self, task_id: str) -> Body | None:
        return self.store.body(task_id)

    async def stream(self, task_id: str, offset: int) -> StreamLog | None:
        return self.store.stream(task_id, offset)

    async def claim(self, name: str) -> KeyClaim | None:
        return self.store.claim(name)

    async def learnt(self) -> dict[str, bytes]:
        return self.store.learnt()

    async def kept(self) -> dict[str, bytes]:
        return self.store.kept()

    async def waiting(self) -> AsyncGenerator[Sequence[Waiting]]:
        pending = self.store.pending()
        while some := list(islice(pending, WAITING_AT_ONCE)):
            yield some

    async def running(self) -> list[TaskState]:
        return self.store.running()

    async def oldest_ended(self, most: int, start: bytes = b"") -> list[Ended]:
        return list(self.store.oldest_ended(most, start))

    async def oldest_gone(self, most: int) -> list[Gone]:
        return list(self.store.oldest_gone(most))


class _Durable:
    """See `oq.store.ledger.Durable`."""

    def __init__(self, store: Store, gate: _Gate) -> None:
        self._store = store
        self._gate = gate

    @property
    def facts(self) -> Facts:
        return self._store.facts_on_disk

    async def state(self, task_id: str) -> TaskState:
        return await self._gate.take(task_id, lambda: self._store.known(task_id))

    async def record(self, task_id: str, parts: Parts = Parts.ALL) -> Record:
        def take() -> Record:
            return looks.record(self._store, self._store.known(task_id), parts)

        return await self._gate.take(task_id, take)

    async def stream(self, task_id: str, offset: int) -> tuple[TaskState, StreamLog | None]:
        def take() -> tuple[TaskState, StreamLog | None]:
            state = self._store.known(task_id)
            return state, self._store.stream(task_id, offset) if state.status.ended else None

        return await self._gate.take(task_id, take)

    async def look(self, filter: TaskFilter, after: str | None, want: Want) -> Slice:
        return await self._gate.take(None, lambda: looks.look(self._store, filter, after, want))

    async def look_at(self, task_ids: Iterable[str], filter: TaskFilter, want: Want) -> Slice:
        some = list(task_ids)
        return await self._gate.take(None, lambda: looks.look_at(self._store, some, filter, want))

    async def ids(self, filter: TaskFilter, after: str | None, most: int) -> list[str]:
        return await self._gate.take(None, lambda: looks.ids(self._store, filter, after, most))

    async def rows(self, outbox: str, after: int, most: int) -> list[Row]:
        return await self._gate.take(None, lambda: list(self._store.rows(outbox, after, most)))


class _Gate:
    """Closed while a batch is written and not yet synced: whoever wants to read of its tasks, or of
    all that there is, waits, and reads as soon as it is on disk, before the next batch is written.
    If nobody will ever know whether it is, the reads that would wait get Unavailable.
    """

    def __init__(self) -> None:
        self._closed = False
        self._ended: str | None = None
        self._behind: Collection[str] = ()
        self._reads: list[_Read[object]] = []

    def close(self, task_ids: Collection[str]) -> None:
        """A batch is written that changes these tasks."""
        self._closed, self._behind = True, task_ids

    def open(self) -> None:
        """It is on disk."""
        self._closed, self._behind = False, ()
        for read in self._take_reads():
            read.take()

    def end(self, why: str) -> None:
        """It is not known whether it is on disk, for this reason, or nobody waits for it any more.
        A gate that is open stays so.
        """
        self._ended = f"it is not known whether what was written last is on disk: {why}"
        for read in self._take_reads():
            read.refuse(Unavailable(self._ended))

    async def take(self, task_id: str | None, look: Callable[[], T]) -> T:
        """`look` at the store when nothing of this task (None: nothing) could be taken back."""
        if not self._closed or (task_id is not None and task_id not in self._behind):
            return look()
        if self._ended is not None:
            raise Unavailable(self._ended)
        waiting = _Read(look)
        self._reads.append(waiting)  # type: ignore[arg-type]  # each gives its own T back
        return await waiting.wait()

    def _take_reads(self) -> list[_Read[object]]:
        reads, self._reads = self._reads, []
        return reads


class _Read(Generic[T]):
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

    def refuse(self, error: Exception) -> None:
        self._error = error
        self._taken.set()

    async def wait(self) -> T:
        await self._taken.wait()
        if self._error is not None:
            raise self._error
        return self._seen

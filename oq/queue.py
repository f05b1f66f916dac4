"""Floor 4: the queue itself, as its users call it.

`open_queue` starts the actors under one nursery and wires them; `Queue` has the verbs. A verb
checks and decides with plain calls, sends one message, and waits for the answer.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass

import trio

from oq.actors.hub import Hub, Observer
from oq.actors.subscription import Subscription
from oq.actors.writer import Writer
from oq.backends import open_backends
from oq.backends.base import Backend
from oq.rules import lifecycle, validation
from oq.rules.board import Board
from oq.rules.drain_rate import DrainRate
from oq.rules.filters import Page, TaskFilter
from oq.rules.ids import IdSource, is_id
from oq.rules.validation import Checked, Limits
from oq.store import Store, open_store
from oq.wiring import Wiring, wire
from oq.words.clock import Clock
from oq.words.config import Config
from oq.words.errors import Conflict, InvalidTask, NotFound, QueueFull, Unavailable
from oq.words.events import Event, EventType, Lagged
from oq.words.messages import (
    Change,
    Command,
    Commit,
    Committed,
    Drain,
    Pause,
    Receipt,
    Verb,
    put,
)
from oq.words.status import BackendStatus, QueueStatus
from oq.words.task import RawTask, Status, Submission, TaskState, show

__all__ = ["Accepted", "Queue", "Subscription", "open_queue"]

SHUTDOWN_GRACE = 10.0
"""Seconds that interrupted tasks get to let go of their connections at shutdown."""

VERB_TIMEOUT = 30.0
"""Seconds that a verb waits for its step to reach the disk."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """A submitted task. `created` is False when its idempotency key had been used for it before."""

    task_id: str
    status: Status
    created: bool = True


@dataclass(frozen=True, slots=True)
class _Claim:
    """An idempotency key whose task is on its way to the disk."""

    task_id: str
    fingerprint: bytes
    receipt: Receipt


@asynccontextmanager
async def open_queue(
    config: Config | None = None,
    *,
    backends: Sequence[Backend] | None = None,
    store: Store | None = None,
    clock: Clock | None = None,
) -> AsyncIterator[Queue]:
    """A running queue, for as long as the block lasts.

    Leaving it lets the running tasks end for `queue.drain_timeout`, puts back in line those that
    have not, and closes the store. When the block is cancelled or an actor crashes, nothing is
    waited for, but the store is closed properly all the same.

    Raises StoreLocked, StoreCorrupt or StoreError when the store cannot be opened.
    """
    config = config or Config()
    clock = clock or Clock()
    store = store or open_store(config.queue.storage_path)
    failure: BaseException | None = None
    try:
        ends = open_backends(config, clock) if backends is None else list(backends)
        try:
            async with trio.open_nursery() as actors:
                wiring = wire(config, store, {end.name: end for end in ends}, clock)
                wiring.start(actors)
                queue = Queue(config, store, clock, wiring, ends)
                try:
                    yield queue
                    await queue.drain()
                finally:
                    actors.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            failure = _lone(group)
        with trio.move_on_after(SHUTDOWN_GRACE, shield=True):
            for end in ends:
                await end.aclose()
    finally:
        store.close()
    if failure is not None:
        raise failure


def _lone(error: BaseException) -> BaseException:
    """The one error in a nursery's group: that a nursery is at work is not its users' concern."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


class Queue:
    """The verbs. All of them may be called from any number of trio tasks at once."""

    def __init__(
        self,
        config: Config,
        store: Store,
        clock: Clock,
        wiring: Wiring,
        backends: Sequence[Backend],
    ) -> None:
        self.config = config
        self.limits = Limits(
            max_payload=config.queue.max_payload,
            max_metadata=config.queue.max_metadata,
            max_batch=config.queue.max_batch,
            max_retries=config.retry_config.max_retries,
        )
        self._store = store
        self._clock = clock
        self._wiring = wiring
        self._board: Board = wiring.board
        self._writer: Writer = wiring.writer
        self._hub: Hub = wiring.hub
        self._backends = {backend.name: backend for backend in backends}
        self._ids = IdSource(store.last_id)
        self._in_flight = 0  # tasks on their way to the disk
        self._claims: dict[str, _Claim] = {}
        self._drain_rate = DrainRate()
        self._draining = False
        self._started = trio.current_time()
        self._hub.observe(self._observe_ends)

    # -- submitting

    async def submit(self, task: Submission, *, idempotency_key: str | None = None) -> Accepted:
        """Store a task and return once it is on disk.

        The same `idempotency_key` with the same task gives the task that it gave before, and with
        another one Conflict. Raises InvalidTask, QueueFull, Unavailable.
        """
        checked = validation.check(task, self.limits)
        if idempotency_key is None:
            self._admit(1)
            change = self._submitted(checked)
            await self._store_new([change])
            return Accepted(change.state.id, change.state.status)
        key = validation.check_idempotency_key(idempotency_key)
        return await self._submit_once(checked, key)

    async def submit_many(self, tasks: Sequence[Submission]) -> list[str]:
        """Store the tasks in one commit, all or none; their ids, in the same order.

        Raises InvalidBatch naming every task that is wrong, InvalidTask when there are too many,
        QueueFull, Unavailable.
        """
        if len(tasks) > self.limits.max_batch:
            raise InvalidTask(
                "", f"{len(tasks)} tasks at once, at most {self.limits.max_batch} (queue.max_batch)"
            )
        checked = validation.check_batch(tasks, self.limits)
        self._admit(len(checked))
        changes = [self._submitted(task) for task in checked]
        if changes:
            await self._store_new(changes)
        return [change.state.id for change in changes]

    # -- reading

    async def view(self, task_id: str, wait: float = 0.0) -> RawTask:
        """The task as it stands. With `wait` (seconds) it waits that long for the task to end.

        Raises NotFound.
        """
        if not is_id(task_id):
            raise NotFound(task_id)
        if wait <= 0:
            return await self._writer.read(task_id, lambda: self._show(task_id))
        with self._hub.watch(task_id) as watch:
            task = await self._writer.read(task_id, lambda: self._show(task_id))
            with trio.move_on_after(wait):
                while not task.status.ended and await watch.changed():
                    task = await self._writer.read(task_id, lambda: self._show(task_id))
        return task

    async def list(self, filter: TaskFilter) -> Page:
        """Tasks that the filter admits, newest first."""
        return await self._writer.read(None, lambda: self._page(filter))

    def status(self) -> QueueStatus:
        """The queue at a glance."""
        counts = {status: self._store.count(status) for status in Status}
        board = self._board
        return QueueStatus(
            pending_tasks=counts[Status.PENDING],
            running_tasks=counts[Status.RUNNING],
            completed_tasks=counts[Status.COMPLETED],
            failed_tasks=counts[Status.FAILED],
            cancelled_tasks=counts[Status.CANCELLED],
            total_tasks=sum(counts.values()),
            queues_by_priority={str(p): n for p, n in sorted(board.by_priority().items())},
            workers_active=board.running,
            workers_idle=board.slots - board.running,
            delayed_tasks=board.delayed,
            retrying_tasks=board.retrying,
            paused=board.paused,
            draining=self._draining,
            uptime=trio.current_time() - self._started,
            event_seq=self._hub.seq,
            problem=self._writer.problem,
            backends=self._backend_status(),
        )

    def check_ready(self) -> None:
        """Return if tasks can be submitted; Unavailable says why they cannot."""
        if self._draining:
            raise Unavailable("oq is shutting down; submit to it again when it is back")
        if self._writer.problem is not None:
            raise Unavailable(self._writer.problem)

    # -- changing

    async def cancel(self, task_id: str) -> None:
        """Take it out of the queue, or stop it; return once that is on disk.

        Raises NotFound, or Conflict when it has ended already.
        """
        await self._command(Command(Verb.CANCEL, task_id))

    async def set_priority(self, task_id: str, priority: int | str) -> None:
        """Give a pending task another priority. NotFound, Conflict, InvalidTask."""
        await self._command(Command(Verb.PRIORITY, task_id, validation.parse_priority(priority)))

    async def retry(self, task_id: str) -> None:
        """Queue a failed or cancelled task again. NotFound, Conflict."""
        await self._command(Command(Verb.RETRY, task_id))

    async def delete(self, task_id: str) -> None:
        """Forget a task that has ended. NotFound, Conflict."""
        await self._command(Command(Verb.DELETE, task_id))

    async def pause(self) -> None:
        """Start no more tasks, also after a restart, until `resume`."""
        await self._set_paused(True)

    async def resume(self) -> None:
        """Start tasks again."""
        await self._set_paused(False)

    async def drain(self) -> None:
        """Take no more tasks and start none; let those that run end for `queue.drain_timeout`, then
        put them back in line. Return when nothing runs and all is on disk.
        """
        self._draining = True
        drain = Drain()
        await self._wiring.to_scheduler.send(drain)
        with trio.move_on_after(self.config.queue.drain_timeout) as limit:
            await drain.receipt.wait()
        if limit.cancelled_caught:
            self._wiring.pool.interrupt("oq was shut down while this attempt ran")
            with trio.move_on_after(SHUTDOWN_GRACE):
                await drain.receipt.wait()
        with trio.move_on_after(SHUTDOWN_GRACE):
            receipt = Receipt()
            await self._wiring.to_writer.send(Commit([], receipt))
            await receipt.wait()

    # -- events

    def subscribe(
        self,
        *,
        types: Collection[EventType] | None = None,
        task_id: str | None = None,
        after: int | None = None,
    ) -> AbstractContextManager[Subscription]:
        """``with queue.subscribe() as events: async for batch in events: ...``

        Each batch is a list of Event and Lagged. `after` is the seq to resume from; without `types`
        all events but progress. Unavailable when there are too many subscribers.
        """
        return self._hub.subscribe(types, task_id, after)

    def encode_event(self, event: Event | Lagged) -> bytes:
        """The event as JSON, encoded once for all its readers."""
        return self._hub.encode(event)

    def observe(self, observer: Observer) -> None:
        """Have `observer` called with every commit, for measuring. It must not block."""
        self._hub.observe(observer)

    # -- how

    def _admit(self, count: int) -> None:
        self.check_ready()
        limit = self.config.queue.max_pending
        excess = self._store.count(Status.PENDING) + self._in_flight + count - limit
        if excess > 0:
            raise QueueFull(limit, self._drain_rate.retry_after(excess, trio.current_time()))

    def _submitted(
        self, checked: Checked, key: str | None = None, mark: bytes | None = None
    ) -> Change:
        now = self._clock.now()
        return lifecycle.submitted(checked, self._ids.next(now), now, key, mark)

    async def _store_new(self, changes: list[Change], key: str | None = None) -> None:
        """Return when the new tasks are on disk. Who leaves earlier leaves them in good order:
        until then they count as pending, and their idempotency key as used.
        """

        def settled() -> None:
            self._in_flight -= len(changes)
            if key is not None:
                del self._claims[key]

        receipt = Receipt(settled)
        self._in_flight += len(changes)
        if key is not None:
            state, mark = changes[0].state, changes[0].fingerprint
            assert mark is not None
            self._claims[key] = _Claim(state.id, mark, receipt)
        try:
            await put(self._wiring.to_writer, Commit(list(changes), receipt))
        except trio.Cancelled:
            receipt.settle(Unavailable("the caller left before the queue had the task; try again"))
            raise
        await receipt.wait()

    async def _submit_once(self, checked: Checked, key: str) -> Accepted:
        mark = fingerprint(checked)
        claim = self._claims.get(key)
        if claim is not None:
            _check_same(key, claim.fingerprint, mark)
            await claim.receipt.wait()
            return Accepted(claim.task_id, Status.PENDING, created=False)
        stored = self._store.claim(key)
        if stored is not None:
            _check_same(key, stored.fingerprint, mark)
            state = self._store.state(stored.task_id)
            if state is not None:
                return Accepted(stored.task_id, state.status, created=False)
        self._admit(1)
        change = self._submitted(checked, key, mark)
        await self._store_new([change], key)
        return Accepted(change.state.id, change.state.status)

    def _show(self, task_id: str) -> RawTask:
        state = self._store.state(task_id)
        if state is None:
            raise NotFound(task_id)
        return self._shown(state)

    def _shown(self, state: TaskState) -> RawTask:
        result = self._store.result(state.id) if state.status is Status.COMPLETED else None
        position = self._board.position(state.id) if state.status is Status.PENDING else None
        return show(state, self._store.body(state.id), result, position)

    def _page(self, filter: TaskFilter) -> Page:
        tasks: list[RawTask] = []
        skip = filter.offset
        for state in self._store.newest(filter):
            if skip:
                skip -= 1
            elif len(tasks) == filter.limit:
                return Page(tasks, tasks[-1].id)
            else:
                tasks.append(self._shown(state))
        return Page(tasks, None)

    def _backend_status(self) -> tuple[BackendStatus, ...]:
        return tuple(
            BackendStatus(
                name=slots.name,
                kind=self._backends[slots.name].kind,
                url=self._backends[slots.name].url,
                up=slots.down is None,
                running=slots.running,
                max_concurrency=slots.limit,
                error=slots.down,
            )
            for slots in self._board.backends
        )

    async def _command(self, command: Command) -> None:
        if not is_id(command.task_id):
            raise NotFound(command.task_id)
        if self._writer.problem is not None:
            raise Unavailable(self._writer.problem)
        await self._wiring.to_scheduler.send(command)
        await _answer(command.receipt)

    async def _set_paused(self, paused: bool) -> None:
        pause = Pause(paused)
        await self._wiring.to_scheduler.send(pause)
        await _answer(pause.receipt)

    def _observe_ends(self, committed: Committed) -> None:
        ended = sum(
            1 for step in committed.steps if isinstance(step, Change) and step.state.status.ended
        )
        if ended:
            self._drain_rate.observe(ended, trio.current_time())


def fingerprint(checked: Checked) -> bytes:
    """What an idempotency key stands for: a digest of all that the task asks for."""
    digest = hashlib.blake2b(digest_size=16)
    for part in (
        checked.type, checked.model, checked.priority, checked.max_retries, checked.run_at,
        checked.timeout, checked.metadata, checked.body.payload, checked.body.options,
    ):  # fmt: skip
        text = part if isinstance(part, bytes) else repr(part).encode()
        digest.update(b"%d:" % len(text) + text)
    return digest.digest()


async def _answer(receipt: Receipt) -> None:
    try:
        with trio.fail_after(VERB_TIMEOUT):
            await receipt.wait()
    except trio.TooSlowError:
        raise Unavailable(
            f"not on disk after {VERB_TIMEOUT:g} s; it takes effect as soon as it is"
        ) from None


def _check_same(key: str, before: bytes, now: bytes) -> None:
    if before != now:
        raise Conflict(f"the idempotency key {key!r} was used for another task")

"""The queue as its faces call it: documents stay the JSON that they are."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import datetime

import trio
from msgspec.structs import replace

from oq.actors.hub import Observer
from oq.actors.subscription import Subscription
from oq.backends.base import Backend
from oq.queue import bulk
from oq.queue.admission import Accepted, Admission
from oq.queue.catalogue import Catalogue, view
from oq.queue.listing import Listing
from oq.queue.reader import StreamReader
from oq.queue.receipts import PendingReceipts
from oq.queue.recovery import SHUT_DOWN
from oq.queue.wiring import Wiring
from oq.rules.filters import Count, Page, TaskFilter
from oq.rules.ids import is_id
from oq.rules.terms import parse_priority
from oq.store import Ledger
from oq.words.arguments import task_id_of
from oq.words.bulk import BulkOutcome
from oq.words.clock import Clock
from oq.words.config import Config
from oq.words.durations import Time, seconds_of
from oq.words.errors import InvalidTask, NotFound, Unavailable
from oq.words.events import Event, EventType, Lagged
from oq.words.messages import BackendDown, BulkCommand, Command, Commit, Drain, Pause, Verb
from oq.words.receipts import Receipt
from oq.words.task import RawTask, Status, Submission, TaskSummary
from oq.words.views import BackendStatus, BackendView, Models, QueueStatus

SHUTDOWN_GRACE = 10.0
"""Seconds that interrupted tasks get to let go of their connections at shutdown."""

VERB_TIMEOUT = 30.0
"""Seconds that a verb waits for its step to reach the disk."""

_LATE = f"not on disk after {VERB_TIMEOUT:g} s; it takes effect as soon as it is"


class Core:
    """All of its verbs may be called from any number of trio tasks at once."""

    def __init__(
        self,
        config: Config,
        ledger: Ledger,
        clock: Clock,
        wiring: Wiring,
        backends: Sequence[Backend],
    ) -> None:
        self.config = config
        self._clock = clock
        self._ledger = ledger
        self._durable = ledger.durable
        self._wiring = wiring
        self._board = wiring.board
        self._writer = wiring.writer
        self._hub = wiring.hub
        self._backends = {backend.name: backend for backend in backends}
        self._answers = PendingReceipts()
        self._admission = Admission(
            config, ledger, clock, wiring.writer, wiring.to_writer, self._answers
        )
        self._hub.observe(self._admission.observe_ends)
        self._catalogue = Catalogue(self._tell_down)
        self._listing = Listing(ledger.durable, wiring.board, self._answers.check, clock.now)
        self.limits = self._admission.limits
        self._started = trio.current_time()

    # -- submitting

    async def accept(self, task: Submission, *, idempotency_key: str | None = None) -> Accepted:
        """Store a task and return once it is on disk.

        The same `idempotency_key` with the same task gives the task that it gave before, and with
        another one Conflict. Raises InvalidTask, QueueFull, Unavailable.
        """
        return await self._admission.accept(task, idempotency_key)

    async def accept_many(self, tasks: Sequence[Submission]) -> list[str]:
        """Store the tasks in one commit, all or none; their ids, in the same order.

        Raises InvalidBatch naming every task that is wrong, InvalidTask when there are too many,
        QueueFull, Unavailable.
        """
        return await self._admission.accept_many(tasks)

    # -- reading

    async def view(self, task_id: str, wait: float = 0.0) -> RawTask:
        """The task as it stands. With `wait` (seconds) it waits that long for the task to end.

        Raises NotFound.
        """
        if not is_id(task_id_of(task_id)):
            raise NotFound(task_id)
        if wait <= 0:
            return await self._show(task_id)
        with self._hub.watch(task_id) as watch:
            task = await self._show(task_id)
            with trio.move_on_after(wait):
                while not task.status.ended and await watch.changed():
                    task = await self._show(task_id)
        return task

    async def check_known(self, task_id: str) -> None:
        """Return if there is such a task; NotFound."""
        if not is_id(task_id_of(task_id)):
            raise NotFound(task_id)
        self._answers.check()
        await self._durable.state(task_id)

    async def page(self, filter: TaskFilter) -> Page[RawTask]:
        """Tasks that the filter admits, in its order."""
        return await self._listing.page(filter)

    async def summaries(self, filter: TaskFilter) -> Page[TaskSummary]:
        """The same without their documents, with how the prompt of each begins."""
        return await self._listing.summaries(filter)

    async def count(self, filter: TaskFilter) -> Count:
        """How many tasks the filter admits; at least so many, when they are too many to look at."""
        return await self._listing.count(filter)

    def status(self) -> QueueStatus:
        """The queue at a glance."""
        counts = self._durable.facts.counts
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
            draining=self._admission.closed,
            uptime=trio.current_time() - self._started,
            event_seq=self._hub.seq,
            problem=self._writer.problem,
            backends=self._backend_status(),
        )

    async def look_at_backends(self) -> list[BackendView]:
        """The backends with their models, which those that are up are asked for."""
        found: dict[str, BackendView] = {}

        async def look(status: BackendStatus) -> None:
            backend = self._backends[status.name]
            found[status.name] = await self._catalogue.look(status, backend)

        async with trio.open_nursery() as nursery:
            for status in self._backend_status():
                if status.up:
                    nursery.start_soon(look, status)
        return [found.get(one.name) or view(one, Models()) for one in self._backend_status()]

    def now(self) -> datetime:
        """The time, by the queue's own clock."""
        return self._clock.now()

    async def oldest_waiting(self) -> datetime | None:
        """When the task was submitted that has waited longest of those which could run."""
        task_id = self._board.oldest_ready()
        if task_id is not None:
            with suppress(NotFound):
                return (await self._durable.state(task_id)).created_at
        return None

    def check_ready(self) -> None:
        """Return if tasks can be submitted; Unavailable says why they cannot."""
        self._admission.check_open()

    @contextmanager
    def read_stream(
        self, task_id: str, *, offset: int = 0, attempt: int | None = None
    ) -> Iterator[StreamReader]:
        """What the task generates: from `offset` on, then live, to its end.

        `attempt` is the one that the offset is of (see `oq.words.stream.Chunk`): when another runs
        by now, the reader is told to start anew. Raises NotFound, as the reader does.
        """
        if not is_id(task_id_of(task_id)):
            raise NotFound(task_id)
        with self._hub.watch(task_id) as watch:
            yield StreamReader(
                self._durable, self._answers.check, self._wiring.streams, self._wiring.reads,
                watch, task_id, offset, attempt,
            )  # fmt: skip

    # -- changing

    async def cancel(self, task_id: str) -> None:
        """Take it out of the queue, or stop it; return once that is on disk.

        Raises NotFound, or Conflict when it has ended already.
        """
        await self._command(Command(Verb.CANCEL, task_id))

    async def set_priority(self, task_id: str, priority: int | str) -> None:
        """Give a pending task another priority. NotFound, Conflict, InvalidTask."""
        await self._command(Command(Verb.PRIORITY, task_id, parse_priority(priority)))

    async def retry(self, task_id: str) -> None:
        """Queue a failed or cancelled task again. NotFound, Conflict."""
        await self._command(Command(Verb.RETRY, task_id))

    async def delete(self, task_id: str) -> None:
        """Forget a task that has ended. NotFound, Conflict."""
        await self._command(Command(Verb.DELETE, task_id))

    async def bulk(
        self, action: Verb, ids: Sequence[str] | TaskFilter, to: int | str = 0
    ) -> BulkOutcome:
        """Ask the same of many tasks: of those with these ids, or of all that the filter admits (of
        those in a state in which it can be asked, unless the filter names states), up to
        `queue.max_bulk` of them. Return when all that is on disk.

        What is refused for a single task is told of that task. InvalidTask if there are too many
        ids or the priority is none.
        """
        most = self.config.queue.max_bulk
        level = parse_priority(to)
        more = False
        if isinstance(ids, TaskFilter):
            wanted = ids if ids.status else replace(ids, status=bulk.CONCERNS[action])
            named, more = await self._listing.ids(wanted, most)
        else:
            named = list(dict.fromkeys(map(task_id_of, ids)))
            if len(named) > most:
                raise InvalidTask("ids", f"{len(named)} tasks are over {most} (queue.max_bulk)")
        return await bulk.carry_out(self._ask_many, action, named, level, more=more)

    async def pause(self) -> None:
        """Start no more tasks, also after a restart, until `resume`."""
        await self._ask(Pause(True))

    async def resume(self) -> None:
        """Start tasks again."""
        await self._ask(Pause(False))

    async def drain(self, timeout: Time | None = None) -> None:
        """Take no more tasks and start none; let those that run end for `timeout`
        (`queue.drain_timeout` if it is None), then put them back in line. Return when nothing runs
        and all is on disk. A second drain may be in more of a hurry than the first.
        """
        default = self.config.queue.drain_timeout
        patience = default if timeout is None else seconds_of("timeout", timeout)
        self._admission.closed = True
        drain = Drain()
        await self._wiring.to_scheduler.send(drain)
        with trio.move_on_after(patience) as limit:
            await drain.receipt.wait()
        if limit.cancelled_caught:
            self._wiring.pool.interrupt(SHUT_DOWN.reason)
            with trio.move_on_after(SHUTDOWN_GRACE):
                await drain.receipt.wait()
        self._wiring.reads.tell()
        with trio.move_on_after(SHUTDOWN_GRACE), suppress(Unavailable):  # the disk may be full
            receipt = Receipt()
            await self._wiring.to_writer.send(Commit([], receipt))
            await receipt.wait()

    def end(self, failure: BaseException | None = None) -> None:
        """The queue is over: whoever waits for it, or calls it from now on, is told so, and why."""
        self._admission.closed = True
        self._answers.end("" if failure is None else f" ({failure})")

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

    async def _show(self, task_id: str) -> RawTask:
        self._answers.check()
        record = await self._durable.record(task_id)
        if record.state.status.ended:
            self._wiring.reads.note(record.state)
        return self._listing.shown(record)

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

    def _tell_down(self, backend: str, reason: str) -> None:
        """Somebody has found that a backend does not answer: so no task is sent there."""
        with suppress(trio.WouldBlock, trio.BrokenResourceError):  # the next one will say so too
            self._wiring.to_scheduler.send_nowait(BackendDown(backend, reason))

    async def _command(self, command: Command) -> None:
        if not is_id(task_id_of(command.task_id)):
            raise NotFound(command.task_id)
        await self._ask(command)

    async def _ask(self, wish: Command | BulkCommand | Pause) -> None:
        """Have the scheduler carry it out; return when that is on disk."""
        self._answers.check()
        if self._writer.problem is not None:
            raise Unavailable(self._writer.problem)
        await self._wiring.to_scheduler.send(wish)
        try:
            with trio.fail_after(VERB_TIMEOUT):
                await self._answers.wait(wish.receipt)
        except trio.TooSlowError:
            raise Unavailable(_LATE) from None

    async def _ask_many(self, command: BulkCommand) -> None:
        """The same for many at once; the command says which of them were refused."""
        self._answers.check()
        for task_id in command.left:
            if not is_id(task_id):
                command.answer(task_id, NotFound(task_id))
        if not command.left:
            return
        try:
            await self._ask(command)
        except Unavailable as error:
            command.give_up(error)

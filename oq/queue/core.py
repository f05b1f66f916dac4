"""The parts of a running queue: its actors and its ledger, and how requests reach them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta

import trio
from msgspec.structs import replace

from oq.backends.base import Backend
from oq.queue.admission import Admission
from oq.queue.catalogue import Catalogue, view
from oq.queue.listing import Listing
from oq.queue.outlook import Outlook
from oq.queue.recovery import SHUT_DOWN
from oq.queue.wiring import Wiring
from oq.rules.shown_slots import at_once, held_because, slots_of
from oq.rules.slots import BackendSlots
from oq.store import Ledger
from oq.words.clock import Clock
from oq.words.config import Config
from oq.words.durations import Time, seconds_of
from oq.words.errors import NotFound, Unavailable
from oq.words.messages import BackendDown, BulkCommand, Command, Commit, Drain, Pause
from oq.words.receipts import PendingReceipts, Receipt
from oq.words.task import Status
from oq.words.timeline import TimelineSpan
from oq.words.views import BackendStatus, BackendView, Model, Models, QueueStatus

SHUTDOWN_GRACE = 10.0
"""Seconds for interrupted tasks to close their connections at shutdown."""

VERB_TIMEOUT = 30.0
"""Seconds that a method waits until its change is on disk."""

_LATE = f"not on disk after {VERB_TIMEOUT:g} s; it takes effect as soon as it is"


class Core:
    """The parts of one queue. `oq.queue.raw` has its methods, each on behalf of a caller."""

    def __init__(
        self,
        config: Config,
        ledger: Ledger,
        clock: Clock,
        wiring: Wiring,
        backends: Sequence[Backend],
    ) -> None:
        self.config = config
        self.clock = clock
        self.ledger = ledger
        self.durable = ledger.durable
        self.wiring = wiring
        self.board = wiring.board
        self.writer = wiring.writer
        self.hub = wiring.hub
        self.by_name = {backend.name: backend for backend in backends}
        self.answers = PendingReceipts()
        self.outlook = Outlook(wiring.board, clock)
        self.admission = Admission(
            config, ledger, clock, wiring.writer, wiring.to_writer, self.answers, self.outlook,
            several=len(backends) > 1,
        )  # fmt: skip
        self._catalogue = Catalogue(self.tell_down)
        self.listing = Listing(
            ledger.durable, wiring.board, self.outlook, self.answers.check, clock.now
        )
        self.limits = self.admission.limits
        self._started = trio.current_time()

    def status(self) -> QueueStatus:
        """The numbers of tasks, the state of the queue and its backends."""
        counts = self.durable.facts.counts
        board = self.board
        return QueueStatus(
            pending_tasks=counts[Status.PENDING],
            running_tasks=counts[Status.RUNNING],
            completed_tasks=counts[Status.COMPLETED],
            failed_tasks=counts[Status.FAILED],
            cancelled_tasks=counts[Status.CANCELLED],
            total_tasks=sum(counts.values()),
            queues_by_priority={str(p): n for p, n in sorted(board.by_priority().items())},
            workers_active=board.running,
            workers_idle=max(0, board.at_once - board.running),
            delayed_tasks=len(board.delayed),
            retrying_tasks=board.delayed.retrying,
            paused=board.paused,
            paused_models=tuple(sorted(board.paused_models)),
            draining=self.admission.closed,
            uptime=trio.current_time() - self._started,
            event_seq=self.hub.seq,
            problem=self.writer.problem,
            empty_at=self.outlook.empty_at(),
            backends=self._backend_status(),
        )

    async def backends(self) -> list[BackendView]:
        """The backends with their models. Those that are up are asked for their models now."""
        found: dict[str, BackendView] = {}

        async def look(status: BackendStatus) -> None:
            backend = self.by_name[status.name]
            found[status.name] = await self._catalogue.look(status, backend)

        async with trio.open_nursery() as nursery:
            for status in self._backend_status():
                if status.up:
                    nursery.start_soon(look, status)
        return [
            self._with_models(slots, found.get(status.name) or view(status, Models()))
            for slots, status in zip(self.board.backends, self._backend_status(), strict=True)
        ]

    def _with_models(self, slots: BackendSlots, seen: BackendView) -> BackendView:
        """Where there are several backends, with the models that decide where a task goes: those
        that the settings give it, and of one that does not list them those that it had.
        """
        if len(self.by_name) == 1:
            return seen
        listed = seen.models
        if seen.error is not None and not listed:
            listed = tuple(map(Model, slots.models.record() or ()))
        models = tuple(model for model in listed if slots.models.offers(model.name))
        return replace(seen, models=models)

    async def oldest_waiting(self) -> datetime | None:
        """When the oldest task that is ready to run was submitted; None if no task is ready."""
        task_id = self.board.oldest_ready()
        if task_id is not None:
            with suppress(NotFound):
                return (await self.durable.state(task_id)).created_at
        return None

    async def drain(self, timeout: Time | None = None) -> None:
        """Accept and start no more tasks, and wait until the running tasks have ended.

        After `timeout` (`queue.drain_timeout` if it is None) tasks that still run are stopped and
        put back in line. It returns when nothing runs and all is on disk. A second call with a
        shorter `timeout` is allowed.
        """
        default = self.config.queue.drain_timeout
        patience = default if timeout is None else seconds_of("timeout", timeout)
        self.admission.closed = True
        drain = Drain()
        await self.wiring.to_scheduler.send(drain)
        with trio.move_on_after(patience) as limit:
            await drain.receipt.wait()
        if limit.cancelled_caught:
            self.wiring.pool.interrupt(SHUT_DOWN.reason)
            with trio.move_on_after(SHUTDOWN_GRACE):
                await drain.receipt.wait()
        self.wiring.reads.tell()
        with trio.move_on_after(SHUTDOWN_GRACE), suppress(Unavailable):  # the disk may be full
            receipt = Receipt()
            await self.wiring.to_writer.send(Commit([], receipt))
            await receipt.wait()

    def end(self, failure: BaseException | None = None) -> None:
        """End the queue: waiting and later calls raise Unavailable with the reason."""
        self.admission.closed = True
        self.answers.end("" if failure is None else f" ({failure})")

    # -- how

    def _backend_status(self) -> tuple[BackendStatus, ...]:
        now = trio.current_time()
        return tuple(
            BackendStatus(
                name=slots.name,
                kind=self.by_name[slots.name].kind,
                url=self.by_name[slots.name].url,
                up=slots.down is None,
                running=slots.running,
                max_concurrency=at_once(slots),
                error=slots.down,
                down_since=slots.down_since,
                held=held_because(slots),
                swap=self.board.swap_on(slots, now),
                slots=slots_of(slots),
            )
            for slots in self.board.backends
        )

    def timeline_spans(self, since: datetime) -> dict[str, list[TimelineSpan]]:
        """How each backend has been since that time."""
        wall, now = self.clock.now(), trio.current_time()

        def at(time: float) -> datetime:
            return wall + timedelta(seconds=time - now)

        back = now - (wall - since).total_seconds()
        return {
            slots.name: [
                TimelineSpan(
                    kind=one.kind,
                    reason=one.reason,
                    since=at(one.since),
                    until=None if one.until is None else at(one.until),
                )
                for one in slots.past.since(back)
            ]
            for slots in self.board.backends
        }

    def tell_down(self, backend: str, reason: str) -> None:
        """Report that a backend does not answer, so that no task is sent there."""
        with suppress(trio.WouldBlock, trio.BrokenResourceError):  # the next one will say so too
            self.wiring.to_scheduler.send_nowait(BackendDown(backend, reason))

    async def ask(self, wish: Command | BulkCommand | Pause) -> None:
        """Ask the scheduler to do it; return when it is on disk."""
        self.answers.check()
        if self.writer.problem is not None:
            raise Unavailable(self.writer.problem)
        await self.wiring.to_scheduler.send(wish)
        try:
            with trio.fail_after(VERB_TIMEOUT):
                await self.answers.wait(wish.receipt)
        except trio.TooSlowError:
            raise Unavailable(_LATE) from None

    async def ask_many(self, command: BulkCommand) -> None:
        """The same for many tasks at once. The command notes which of them were refused."""
        self.answers.check()
        if not command.left:
            return
        try:
            await self.ask(command)
        except Unavailable as error:
            command.give_up(error)

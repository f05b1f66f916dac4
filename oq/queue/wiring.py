"""The actors and the channels between them.

    verbs ──► writer ──► scheduler ──► pool ──► writer ...
                 │            │  ▲
                 ▼            ▼  │
                hub     timer, monitor

Every mailbox is bounded. The scheduler sends without waiting: its mailboxes hold all that slots and
admission let it send. Everybody else waits when a mailbox is full, up to the HTTP caller.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from secrets import token_hex
from typing import Protocol

import structlog
import trio

from oq.actors.hub import Hub
from oq.actors.janitor import Janitor
from oq.actors.monitor import Monitor
from oq.actors.pool import Pool
from oq.actors.reads import Reads
from oq.actors.scheduler import Message, Scheduler
from oq.actors.streams import Streams
from oq.actors.timer import Timer
from oq.actors.writer import Writer
from oq.backends.base import Backend
from oq.rules import lifecycle
from oq.rules.board import Board
from oq.rules.place import Place
from oq.rules.policies import POLICIES
from oq.rules.retention import Retention
from oq.rules.retry import RetryPolicy
from oq.rules.slots import BackendSlots
from oq.rules.stream_log import start_of
from oq.store import Store
from oq.words.clock import Clock
from oq.words.config import Config, QueueConfig
from oq.words.errors import StoreError
from oq.words.events import Event
from oq.words.messages import Abort, Commit, Committed, Delay, Dispatch
from oq.words.outcome import Interrupted
from oq.words.task import Status, TaskState

log = structlog.get_logger("oq")

MAILBOX = 1024
"""Messages that wait for the writer, the scheduler or the hub before their senders wait."""


SHUT_DOWN = Interrupted("oq was shut down while this attempt ran")


class Actor(Protocol):
    async def run(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Wiring:
    """The actors of one queue as its verbs need them, and the channels that these write to. `mark`
    tells its requests from those of other queues.
    """

    mark: str

    board: Board
    writer: Writer
    hub: Hub
    streams: Streams
    reads: Reads
    pool: Pool
    to_writer: trio.MemorySendChannel[Commit]
    to_scheduler: trio.MemorySendChannel[Message]
    actors: tuple[Actor, ...]
    crashed: list[str] = field(default_factory=list)
    """The actors that have ended by an error."""

    def start(self, nursery: trio.Nursery) -> None:
        """Run the actors; one that crashes cancels the nursery."""
        for actor in self.actors:
            name = f"oq.{type(actor).__name__.lower()}"
            nursery.start_soon(self._run, actor, name, name=name)

    async def _run(self, actor: Actor, name: str) -> None:
        try:
            await actor.run()
        except Exception:
            self.crashed.append(name)
            raise


def wire(
    config: Config,
    store: Store,
    backends: dict[str, Backend],
    clock: Clock,
    *,
    ended_by_oq: bool = False,
) -> Wiring:
    """Make the actors, with what recovery found in the store. Nothing runs yet. `ended_by_oq`: the
    process before ended by oq's own will, though without closing the store.
    """
    settings, retry, events = config.queue, config.retry_config, config.events
    told = recover(store, clock, ended_by_oq=ended_by_oq)
    store.running_page.begin(settings.max_workers)
    slots = _slots(config, backends)
    policy = POLICIES[config.scheduler.policy](slots)
    board = Board(settings.max_workers, slots, policy, paused=store.paused)
    delays = _load(board, store, clock, retry.max_delay)

    to_writer, writer_inbox = trio.open_memory_channel[Commit](MAILBOX)
    to_scheduler, scheduler_inbox = trio.open_memory_channel[Message](MAILBOX)
    to_hub, hub_inbox = trio.open_memory_channel[Committed](MAILBOX)
    # For each slot: the abort of the run before, the next job, and its abort.
    to_pool, pool_inbox = trio.open_memory_channel[Dispatch | Abort](3 * settings.max_workers)
    to_timer, timer_inbox = trio.open_memory_channel[list[Delay]](MAILBOX)
    to_monitor, monitor_inbox = trio.open_memory_channel[str](len(backends))

    hub = Hub(
        hub_inbox, clock, seq=store.event_seq, past=told,
        ring=events.ring, mailbox=events.mailbox, max_subscribers=events.max_subscribers,
    )  # fmt: skip
    pool_to_writer = to_writer.clone()
    streams = Streams(hub.progress, pool_to_writer, store.stream)
    retries = RetryPolicy(retry.initial_delay, retry.max_delay, retry.backoff_factor, retry.jitter)
    mark = token_hex(8)
    pool = Pool(
        store, backends, clock, retries, config.ollama.timeout, streams,
        pool_inbox, pool_to_writer, to_scheduler.clone(), mark,
    )  # fmt: skip
    scheduler = Scheduler(
        board, store, clock, scheduler_inbox, to_writer.clone(), to_pool, to_timer, to_monitor
    )
    # The hub first: who is answered, by the scheduler, finds the events told.
    writer = Writer(store, clock, writer_inbox, (to_hub, to_scheduler.clone()))
    timer = Timer(clock, timer_inbox, to_scheduler.clone(), board.waits, delays)
    monitor = Monitor(backends, settings.probe_interval, monitor_inbox, to_scheduler.clone())
    reads = Reads(to_writer.clone())
    janitor = Janitor(
        store, clock, _retention(settings), settings.cleanup_interval, reads,
        to_scheduler.clone(), to_writer.clone(),
    )  # fmt: skip
    actors = (hub, writer, scheduler, timer, pool, monitor, janitor)
    return Wiring(mark, board, writer, hub, streams, reads, pool, to_writer, to_scheduler, actors)


def _retention(settings: QueueConfig) -> Retention:
    return Retention(
        tasks=settings.max_completed_tasks,
        seconds=settings.keep_completed,
        unread=settings.max_unread_tasks,
        removed=settings.max_removed_ids,
        removed_seconds=settings.keep_removed_ids,
    )


def recover(store: Store, clock: Clock, *, ended_by_oq: bool) -> list[Event]:
    """Put back in line what ran when the process ended, on disk, before anything starts; what
    subscribers are to be told of it.
    """
    now = clock.now()
    died = [
        lifecycle.interrupted(state, SHUT_DOWN, now) if ended_by_oq else lifecycle.died(state, now)
        for state in store.running()
    ]
    ran = len(died)
    for state, started_at in () if ended_by_oq else _unseen(store):
        died += lifecycle.died_unseen(state, started_at, now)
        ran += 1
    events = lifecycle.tell(died, store.event_seq, clock.now())
    if died:
        store.write(died, store.event_seq + len(events))
        store.sync()
        poisoned = sum(change.state.status is Status.FAILED for change in died)
        log.warning("recovered tasks that ran when oq stopped", tasks=ran, poisoned=poisoned)
    return events


def _unseen(store: Store) -> Iterator[tuple[TaskState, datetime]]:
    """The tasks that a backend had got when the process ended, and whose start is not on disk; with
    the time of that start.
    """
    for task_id, attempt in store.running_page.left:
        state = store.state(task_id)
        if state is None or state.status is not Status.PENDING:
            continue
        started_at = start_of(attempt)
        if not state.attempts or state.attempts[-1].started_at < started_at:
            yield state, started_at


def put_back(store: Store, clock: Clock) -> None:
    """Put back in line what still runs when a queue is closed in haste. To be called when its
    actors have ended; it is the store's last change, which closing the store syncs.
    """
    store.running_page.clear()
    broken_off = [lifecycle.interrupted(state, SHUT_DOWN, clock.now()) for state in store.running()]
    if broken_off:
        events = lifecycle.tell(broken_off, store.event_seq, clock.now())
        try:
            store.sync()  # never are two batches on their way to the disk (see `oq.store.wal`)
            store.write(broken_off, store.event_seq + len(events))
        except StoreError as error:  # they stand as running, and have spent a life
            log.error("tasks not put back", tasks=len(broken_off), reason=str(error))  # noqa: TRY400


def _waiting_on(task_id: str, run_at: datetime, place: Place, longest: float) -> Delay:
    """The rest of a retry's delay is never more than the delay: the clock may be wrong now, or have
    been so when it was written. One of which no delay is known waits for the `longest` there is.
    """
    if not place.retrying:
        return Delay(task_id, run_at)
    return Delay(task_id, run_at, True, longest if place.delay is None else place.delay)


def _load(board: Board, store: Store, clock: Clock, longest: float) -> list[Delay]:
    """Put the pending tasks on the board; those that wait for their time, for the timer.

    Those whose time came while nobody looked are ready at once, before the first dispatch.
    """
    delays: list[Delay] = []
    now = clock.now()

    def waiting() -> Iterator[tuple[str, Place]]:
        for task in store.pending():
            place = task.place
            if place.run_at is not None and place.run_at > now:
                delays.append(_waiting_on(task.task_id, place.run_at, place, longest))
            elif place.run_at is not None:
                place = Place(place.priority, place.model)
            yield task.task_id, place

    board.load(waiting())
    return delays


def _slots(config: Config, backends: dict[str, Backend]) -> list[BackendSlots]:
    limits = {backend.name: backend.max_concurrency for backend in config.backend_list()}
    most = config.queue.max_workers
    return [BackendSlots(name, min(limits.get(name) or most, most)) for name in backends]

"""The actors and the channels between them.

    verbs ──► writer ──► scheduler ──► pool ──► writer ...
                 │            │  ▲
                 ▼            ▼  │
                hub     timer, monitor

Every mailbox is bounded. The scheduler sends without waiting: the mailboxes that it sends to are
large enough for all that slots and admission allow. All other senders wait while a mailbox is full,
and so does the HTTP request behind them.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from secrets import token_hex
from typing import Protocol

import structlog
import trio

from oq.actors.hub import Hub
from oq.actors.janitor import Janitor
from oq.actors.monitor import Monitor
from oq.actors.pool import Pool
from oq.actors.reads import Reads
from oq.actors.recorder import Recorder
from oq.actors.scheduler import Message, Scheduler
from oq.actors.streams import Streams
from oq.actors.timer import Timer
from oq.actors.writer import Writer
from oq.backends.base import Backend
from oq.queue.capacity import fleet_of, restore
from oq.queue.recovery import load, recover
from oq.rules.board import Board
from oq.rules.forecast import FORECAST
from oq.rules.history import History
from oq.rules.policies import POLICIES
from oq.rules.retention import Retention
from oq.rules.retry import RetryPolicy
from oq.store import Ledger
from oq.words.clock import Clock
from oq.words.config import MOST_WORKERS, Config, QueueConfig
from oq.words.errors import StoreCorrupt, StoreError, lone
from oq.words.messages import Abort, Commit, Committed, Delay, Dispatch, Look, Recall

log = structlog.get_logger("oq")

MAILBOX = 1024
"""Messages that a mailbox of the writer, the scheduler or the hub holds before senders wait."""


class Actor(Protocol):
    async def run(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Wiring:
    """The actors of one queue, and the channels to them that its methods need. `mark` identifies
    the requests that this queue sends to backends.
    """

    mark: str

    board: Board
    history: History
    writer: Writer
    hub: Hub
    streams: Streams
    reads: Reads
    pool: Pool
    to_writer: trio.MemorySendChannel[Commit]
    to_scheduler: trio.MemorySendChannel[Message]
    actors: tuple[Actor, ...]
    crashed: list[str] = field(default_factory=list)
    """The actors that have ended with an error of which a task may be the cause."""

    def start(self, nursery: trio.Nursery) -> None:
        """Run the actors. If one crashes, the nursery is cancelled."""
        for actor in self.actors:
            name = f"oq.{type(actor).__name__.lower()}"
            nursery.start_soon(self._run, actor, name, name=name)

    async def _run(self, actor: Actor, name: str) -> None:
        try:
            await actor.run()
        except Exception as error:
            why = lone(error)
            # A disk that fails is no task's fault. What is damaged may be one task's record.
            if isinstance(why, StoreCorrupt) or not isinstance(why, StoreError):
                self.crashed.append(name)
            raise


async def wire(
    config: Config,
    ledger: Ledger,
    backends: dict[str, Backend],
    clock: Clock,
    *,
    ended_by_oq: bool = False,
) -> Wiring:
    """Make the actors, with what recovery found in the ledger. Nothing runs yet. `ended_by_oq`
    means that oq itself ended the process before this one, though without closing the ledger.
    """
    settings, retry, events = config.queue, config.retry_config, config.events
    recovered = await recover(ledger, clock, ended_by_oq=ended_by_oq)
    most = settings.max_workers or MOST_WORKERS
    ledger.running_page.begin(most)
    board = await _board(config, ledger, backends, most)
    delays = await load(board, ledger, clock, retry.max_delay)

    to_writer, writer_inbox = trio.open_memory_channel[Commit](MAILBOX)
    to_scheduler, scheduler_inbox = trio.open_memory_channel[Message](MAILBOX)
    to_hub, hub_inbox = trio.open_memory_channel[Committed](MAILBOX)
    # For each slot: the abort of the run before, the next job, its abort, and its two recalls.
    to_pool, pool_inbox = trio.open_memory_channel[Dispatch | Abort | Recall](5 * most)
    to_timer, timer_inbox = trio.open_memory_channel[list[Delay]](MAILBOX)
    # For each backend: that it is down, and the latest wishes to know what is in its memory, and
    # which models it has. The monitor takes them at once.
    to_monitor, monitor_inbox = trio.open_memory_channel[Look](3 * len(backends))

    hub = Hub(
        hub_inbox, clock, seq=ledger.facts.event_seq, past=recovered,
        ring=events.ring, mailbox=events.mailbox, max_subscribers=events.max_subscribers,
    )  # fmt: skip
    pool_to_writer = to_writer.clone()
    streams = Streams(hub.progress, pool_to_writer, ledger.stream)
    retries = RetryPolicy(retry.initial_delay, retry.max_delay, retry.backoff_factor, retry.jitter)
    mark = token_hex(8)
    pool = Pool(
        ledger, backends, most, clock, retries, config.ollama.timeout, config.health.wedged_after,
        streams, pool_inbox, pool_to_writer, to_scheduler.clone(), mark,
    )  # fmt: skip
    scheduler = Scheduler(
        board, ledger, clock, scheduler_inbox, to_writer.clone(), to_pool, to_timer, to_monitor,
        lambda times, asked: retries.delay(times, random.random, asked),
    )  # fmt: skip
    # To the hub first: when the scheduler acknowledges a request, its events have been published.
    writer = Writer(ledger, clock, writer_inbox, (to_hub, to_scheduler.clone()))
    timer = Timer(clock, timer_inbox, to_scheduler.clone(), board.waits, delays)
    monitor = Monitor(backends, settings.probe_interval, monitor_inbox, to_scheduler.clone())
    reads = Reads(to_writer.clone())
    janitor = Janitor(
        ledger, clock, _retention(settings), settings.cleanup_interval, reads,
        to_scheduler.clone(), to_writer.clone(),
    )  # fmt: skip
    history = History()
    history.restore(await ledger.kept(), clock.now())
    recorder = Recorder(history, clock, to_writer.clone())
    actors = (hub, writer, scheduler, timer, pool, monitor, janitor, recorder)
    return Wiring(
        mark, board, history, writer, hub, streams, reads, pool, to_writer, to_scheduler, actors
    )


async def _board(config: Config, ledger: Ledger, backends: dict[str, Backend], most: int) -> Board:
    """The board, with no task on it yet, and with what was learnt of the backends and of how long
    tasks wait.
    """
    fleet = fleet_of(config, backends)
    await restore(fleet, ledger)
    fleet.paused = frozenset(ledger.facts.paused_models)
    policy = POLICIES[config.scheduler.policy](fleet, config.scheduler, config.fairness)
    preempts = config.scheduler.max_preemptions if config.scheduler.preempt else None
    bypass = config.scheduler.max_bypass if config.scheduler.affinity else None
    board = Board(most, fleet, policy, paused=ledger.facts.paused, preempts=preempts, bypass=bypass)
    board.forecast.restore((await ledger.kept()).get(FORECAST, b""))
    return board


def _retention(settings: QueueConfig) -> Retention:
    return Retention(
        tasks=settings.max_completed_tasks,
        seconds=settings.keep_completed,
        unread=settings.max_unread_tasks,
        removed=settings.max_removed_ids,
        removed_seconds=settings.keep_removed_ids,
    )

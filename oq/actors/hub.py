"""The event hub: after each commit it sends events to subscribers and notifies waiting calls.

The hub never waits for a subscriber. Each has a bounded mailbox. A mailbox that overflows is
emptied, and its reader receives the number of events that it missed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from itertools import islice

import msgspec
import trio

from oq.actors.subscription import Subscription, Waker
from oq.words.caller import LOCAL, Caller
from oq.words.channels import take
from oq.words.clock import Clock
from oq.words.errors import Unavailable
from oq.words.events import Event, EventType, Lagged
from oq.words.messages import Committed
from oq.words.steps import OF_ONE_TASK
from oq.words.task import Status, TaskState

PROGRESS_INTERVAL = 0.1
"""Seconds between two progress events of one task."""

ENCODED_KEPT = 4096
"""Encoded events that are kept, so that each is encoded once for all its readers."""

Observer = Callable[[Committed], None]
ProgressObserver = Callable[[str, int, datetime], None]
"""It is told of a running task how many chunks it has generated, and the time."""


class Watch:
    """Waits for the steps of one task."""

    def __init__(self) -> None:
        self._news = trio.Event()
        self._closed = False

    async def changed(self) -> bool:
        """Wait for a step since the last call, and return True. False when the hub has closed."""
        await self._news.wait()
        self._news = trio.Event()
        if self._closed:
            self._news.set()
        return not self._closed

    def notice(self) -> None:
        self._news.set()

    def close(self) -> None:
        self._closed = True
        self._news.set()


class Hub:
    """Its own actor (`run`) publishes commits. The streams report progress (`progress`)."""

    def __init__(
        self,
        inbox: trio.MemoryReceiveChannel[Committed],
        clock: Clock,
        *,
        seq: int,
        past: Committed,
        ring: int,
        mailbox: int,
        max_subscribers: int,
    ) -> None:
        self._inbox = inbox
        self._clock = clock
        self._seq = seq
        self._ring = deque(past.events, maxlen=ring)
        self._ring_owners = deque(past.owners, maxlen=ring)
        self._mailbox = mailbox
        self._max_subscribers = max_subscribers
        self._subscriptions: set[Subscription] = set()
        self._waker = Waker()
        self._watches: dict[str, set[Watch]] = {}
        self._observers: list[Observer] = []
        self._progress_observers: list[ProgressObserver] = []
        self._encoded: dict[int, bytes] = {}
        self._progress_sent: dict[str, float] = {}  # when, for each running task
        self._owners: dict[str, str] = {}  # of the running tasks that have one
        self._closed = False

    @property
    def seq(self) -> int:
        """The number of the last event."""
        return self._seq

    async def run(self) -> None:
        """Publish commits until cancelled. Then publish what is left, and end all subscriptions."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._waker.keep_waking)
                while batch := await take(self._inbox):
                    for committed in batch:
                        self._publish(committed)
                    del committed, batch  # they may have large results: free them
                nursery.cancel_scope.cancel()
        finally:
            with suppress(trio.WouldBlock, trio.EndOfChannel):
                while True:
                    self._publish(self._inbox.receive_nowait())
            self._close()

    def _close(self) -> None:
        """End all subscriptions and wake all waiting calls."""
        self._closed = True
        for subscription in self._subscriptions:
            subscription.end()
        for watches in self._watches.values():
            for watch in watches:
                watch.close()

    def observe(self, observer: Observer) -> None:
        """Call `observer` with each commit. It must not block."""
        self._observers.append(observer)

    def observe_progress(self, observer: ProgressObserver) -> None:
        """Call `observer` when a running task has generated more, at most every
        PROGRESS_INTERVAL seconds for each. It must not block.
        """
        self._progress_observers.append(observer)

    def progress(self, task_id: str, tokens: int) -> None:
        """This running task has generated so many chunks."""
        now = trio.current_time()
        if now - self._progress_sent.get(task_id, -PROGRESS_INTERVAL) >= PROGRESS_INTERVAL:
            self._progress_sent[task_id] = now
            self._tell_progress(task_id, tokens)
            for observer in self._progress_observers:
                observer(task_id, tokens, self._clock.now())

    @contextmanager
    def watch(self, task_id: str) -> Iterator[Watch]:
        """Watch the steps of this task from now on."""
        watch = Watch()
        if self._closed:
            watch.close()
        self._watches.setdefault(task_id, set()).add(watch)
        try:
            yield watch
        finally:
            watches = self._watches[task_id]
            watches.discard(watch)
            if not watches:
                del self._watches[task_id]

    @contextmanager
    def subscribe(
        self,
        types: Collection[EventType] | None = None,
        task_id: str | None = None,
        after: int | None = None,
        caller: Caller = LOCAL,
    ) -> Iterator[Subscription]:
        """The events from now on, of the tasks that the caller may see. With `after` the kept
        events after this number come first.

        Without `types` all except progress events. Unavailable if there are too many subscribers.
        """
        if len(self._subscriptions) >= self._max_subscribers:
            raise Unavailable(
                f"there are {self._max_subscribers} subscribers already"
                " (events.max_subscribers); try again later"
            )
        subscription = Subscription(self._seq, types, task_id, self._mailbox, self._waker, caller)
        if after is not None and after < self._seq:
            self._replay(subscription, after)
        if self._closed:
            subscription.end()
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)

    def encode(self, event: Event | Lagged) -> bytes:
        """The event as JSON, encoded once for all subscribers."""
        if isinstance(event, Lagged) or event.type is EventType.TASK_PROGRESS:
            return msgspec.json.encode(event)
        encoded = self._encoded.get(event.seq)
        if encoded is None:
            if len(self._encoded) >= ENCODED_KEPT:
                for seq in list(islice(self._encoded, ENCODED_KEPT // 2)):
                    del self._encoded[seq]
            encoded = self._encoded[event.seq] = msgspec.json.encode(event)
        return encoded

    def _publish(self, committed: Committed) -> None:
        events, owners = committed.events, committed.owners
        if events:
            self._seq = events[-1].seq
            self._ring.extend(events)
            self._ring_owners.extend(owners)
            if any(owners):
                self._note_owners(events, owners)
            for subscription in self._subscriptions:
                subscription.offer(events, owners)
        if self._watches or self._progress_sent:
            for step in committed.steps:
                if isinstance(step, OF_ONE_TASK):
                    self._notice(step.state)
        for observer in self._observers:
            observer(committed)

    def _notice(self, state: TaskState) -> None:
        """This task has taken a step: wake the calls that watch it."""
        if state.status is not Status.RUNNING:
            self._progress_sent.pop(state.id, None)
        for watch in self._watches.get(state.id, ()):
            watch.notice()

    def _note_owners(self, events: Sequence[Event], owners: Sequence[str | None]) -> None:
        """Progress is reported without an owner, so that is kept while the task runs. What comes
        before its start is on disk has none, and goes to those who see all tasks.
        """
        for event, owner in zip(events, owners, strict=True):
            if owner is None:
                continue
            if event.status is Status.RUNNING:
                self._owners[event.task_id] = owner
            else:
                self._owners.pop(event.task_id, None)

    def _replay(self, subscription: Subscription, after: int) -> None:
        """Offer the events after `after`. Report how many of them are not kept any more."""
        first = self._ring[0].seq if self._ring else self._seq + 1
        if after < first - 1:
            subscription.miss(first - 1 - after)
        skip = max(0, after - first + 1)
        events = list(islice(self._ring, skip, None))
        owners = list(islice(self._ring_owners, skip, None))
        subscription.offer(events, owners, resumed=True)

    def _tell_progress(self, task_id: str, tokens: int) -> None:
        wanting = [s for s in self._subscriptions if s.wants_progress]
        if wanting:
            event = Event(
                self._seq, task_id, EventType.TASK_PROGRESS, Status.RUNNING,
                self._clock.now(), {"tokens": tokens},
            )  # fmt: skip
            for subscription in wanting:
                subscription.offer([event], [self._owners.get(task_id)])

"""One subscriber's mailbox, and the waker of all who read theirs."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Sequence

import trio

from oq.rules import scope
from oq.words.caller import LOCAL, Caller
from oq.words.events import Event, EventType, Lagged

DURABLE = frozenset(EventType) - {EventType.TASK_PROGRESS}
"""What a subscriber gets that names no types."""


WIDTH = 2
"""Readers that are woken in one turn of the event loop."""


class Waker:
    """Wakes those who are to be told something, in order, a few in each turn of the event loop.

    An event concerns all its subscribers at once. Woken together, all of them would be served
    before the next step of any request, which takes many: with 200 of them it waited for 70 ms.
    """

    def __init__(self, width: int = WIDTH) -> None:
        self._width = width
        self._due: deque[Callable[[], None]] = deque()
        self._some = trio.Event()

    def call(self, wake: Callable[[], None]) -> None:
        """Have `wake` called when it is its turn."""
        self._due.append(wake)
        self._some.set()

    async def keep_waking(self) -> None:
        """Wake until cancelled."""
        while True:
            await self._some.wait()
            self._some = trio.Event()
            while self._due:
                for _ in range(min(self._width, len(self._due))):
                    self._due.popleft()()
                await trio.lowlevel.checkpoint()


class Subscription:
    """Iterate over it for lists of events, all that are due at once; it ends when the queue closes.

    A reader that falls behind by more than `capacity` events finds a `Lagged` first: what was due
    is gone, and it goes on from what comes next.
    """

    def __init__(
        self,
        seq: int,
        types: Collection[EventType] | None,
        task_id: str | None,
        capacity: int,
        waker: Waker,
        caller: Caller = LOCAL,
    ) -> None:
        self.seq = seq
        """The number of the last event before this subscription."""
        self._kinds = DURABLE if types is None else frozenset(types)
        self.wants_progress = EventType.TASK_PROGRESS in self._kinds
        all_kinds = self._kinds >= DURABLE and task_id is None
        self._wants_all = all_kinds and scope.sees_all(caller)
        self._task_id = task_id
        self._caller = caller
        self._capacity = capacity
        self._due: deque[Event] = deque()
        self._missed = 0
        self._waker = waker
        self._called = False  # whether the waker is to wake the reader
        self._news = trio.Event()
        self._ended = False

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> list[Event | Lagged]:
        if self._due or self._missed:
            await trio.lowlevel.checkpoint()
        while not (self._due or self._missed):
            if self._ended:
                raise StopAsyncIteration
            self._news = trio.Event()
            await self._news.wait()
        batch: list[Event | Lagged] = [Lagged(self._missed)] if self._missed else []
        batch.extend(self._due)
        self._due.clear()
        self._missed = 0
        return batch

    def offer(
        self, events: Sequence[Event], owners: Sequence[str | None], *, resumed: bool = False
    ) -> None:
        """Put those that it wants into the mailbox; `owners` are those of their tasks. What is
        replayed at the start may exceed the mailbox.
        """
        if self._wants_all:
            wanted = list(events)
        else:
            pairs = zip(events, owners, strict=True)
            wanted = [event for event, owner in pairs if self._wants(event, owner)]
        if not wanted:
            return
        if not resumed and len(self._due) + len(wanted) > self._capacity:
            self._missed += len(self._due) + len(wanted)
            self._due.clear()
        else:
            self._due.extend(wanted)
        if not self._called:
            self._called = True
            self._waker.call(self._wake)

    def miss(self, count: int) -> None:
        """Tell the reader that so many events are not to be had."""
        self._missed += count
        self._wake()

    def end(self) -> None:
        """Let the reader take what is due, and then end."""
        self._ended = True
        self._wake()

    def _wake(self) -> None:
        self._called = False
        self._news.set()

    def _wants(self, event: Event, owner: str | None) -> bool:
        return (
            event.type in self._kinds
            and self._task_id in (None, event.task_id)
            and scope.may_see(owner, self._caller)
        )

"""What one loaded model answers at once, and the line of those that wait for it."""

from __future__ import annotations

import math
from collections import deque
from heapq import heappop, heappush

import trio


class Closed(Exception):
    """There will be no slot any more."""


class Ticket:
    """A place in the line for a slot."""

    def __init__(self) -> None:
        self.changed = trio.Event()


class Slots:
    """`count` calls at once, or any number (None). Who waits gets one in the order of coming."""

    def __init__(self, count: int | None) -> None:
        self._count = count
        self._free = [] if count is None else [-math.inf] * count
        """A heap: when each of those that nobody has can be used."""
        self._line: deque[Ticket] = deque()
        self._closed = False

    def join(self) -> Ticket:
        """Join the line. Wait with the ticket then, or leave with it."""
        ticket = Ticket()
        if self._count is not None:
            self._line.append(ticket)
        return ticket

    async def wait(self, ticket: Ticket) -> None:
        """Return once this call has a slot, to be given back. It is in the line no more, whatever
        happens. Raises Closed.
        """
        if self._count is None:
            return
        try:
            while self._line[0] is not ticket or not self._first_takes():
                ticket.changed = trio.Event()
                with trio.CancelScope(deadline=self._due(ticket)):
                    await ticket.changed.wait()
        finally:
            self.leave(ticket)

    def leave(self, ticket: Ticket) -> None:
        """Give up a place in the line."""
        if ticket in self._line:
            self._line.remove(ticket)
            self._look()

    def give_back(self, at: float) -> None:
        """Somebody else may have the slot, from the time `at` on."""
        if self._count is not None:
            heappush(self._free, at)
            self._look()

    def close(self) -> None:
        """Who waits for a slot gets Closed."""
        self._closed = True
        self._look()

    def all_free(self, now: float) -> bool:
        """Whether nothing runs any more, not even for a caller who has left."""
        return self._count is None or (
            len(self._free) == self._count and max(self._free, default=now) <= now
        )

    @property
    def all_free_at(self) -> float:
        """When that is so at the earliest, if nobody takes one before; inf where it is unknown."""
        if self._count is None or len(self._free) < self._count:
            return math.inf
        return max(self._free, default=math.inf)

    def _first_takes(self) -> bool:
        if self._closed:
            raise Closed
        if not self._free or self._free[0] > trio.current_time():
            return False
        heappop(self._free)
        return True

    def _due(self, ticket: Ticket) -> float:
        """When the first in line should look again by itself."""
        return self._free[0] if self._free and self._line[0] is ticket else math.inf

    def _look(self) -> None:
        if self._line:
            self._line[0].changed.set()

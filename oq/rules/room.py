"""What a backend can do with a task, and when it is busy for a moment."""

from __future__ import annotations

from enum import IntEnum

from msgspec import Struct


class Room(IntEnum):
    """What a backend can do with a task now, the better the greater. It can start it if that is at
    least SWAP. A task that waits there keeps it from those behind if that is more than LIMITED.
    """

    CLOSED = 0  # it is down, or held
    LIMITED = 1  # as many tasks of its model run there as may; tasks of others may start
    DRAINING = 2  # something has to end first: a load, or what runs of another group
    TAKEN = 3  # all slots of its group are taken
    SWAP = 4  # its group will be loaded, and another one leaves the memory for it
    COLD = 5  # its group will be loaded, and there is room for it
    WARM = 6

    @property
    def starts(self) -> bool:
        return self >= Room.SWAP


class Known:
    """What room a backend has, as it was found, until something happens to it: models, with their
    options, that it has no slot for (None: for all), and until when at most; and those for which
    something has to end first.
    """

    __slots__ = ("draining", "taken")

    def __init__(self) -> None:
        self.taken: dict[tuple[str, str] | None, float] = {}
        self.draining: set[tuple[str, str]] = set()

    def forget(self) -> None:
        """Something has happened to it."""
        if self.taken:  # mostly there is nothing, and to ask is cheaper than to clear
            self.taken.clear()
        if self.draining:
            self.draining.clear()


class Hold(Struct, frozen=True):
    """A backend that is busy gets nothing until then, in seconds of a steady clock."""

    reason: str
    until: float

"""A place in the line of calls whose model must be loaded."""

from __future__ import annotations

import trio

from oq.backends.simulated.load_group import LoadGroup
from oq.backends.simulated.runner import Runner
from oq.backends.simulated.slots import Ticket


class Place:
    """A call in the line, or past it. `let_in` is the model that it got, with one use counted."""

    def __init__(
        self, key: str, name: str, group: LoadGroup, keep: float | None, slot: bool
    ) -> None:
        self.key = key
        self.name = name
        self.group = group
        self.keep = keep
        self.slot = slot
        """Whether it needs one."""
        self.ticket: Ticket | None = None
        """Its place in the line for a slot of that model."""
        self.gone = False
        """Whether its caller has left."""
        self.leaving: Runner | None = None
        """What must leave for it, once it is the first in the line."""
        self.let_in: Runner | None = None
        self.changed = trio.Event()

"""What a ledger knows of all its tasks together."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from msgspec import Struct

from oq.rules.ids import NIL
from oq.words.task import ENDED, Status


class Facts(Struct, kw_only=True):
    """`counts` is how many tasks are in each state, `last_id` the greatest id that any task ever
    had, `event_seq` the number of the last event. `paused_models` are the models whose tasks do not
    start, without the tag latest. `unread` counts the ended tasks whose result
    waits to be read, and `gone` the removed ones whose ids are still known.
    """

    event_seq: int = 0
    last_id: str = NIL
    paused: bool = False
    paused_models: tuple[str, ...] = ()
    unread: int = 0
    gone: int = 0
    counts: dict[Status, int] = msgspec.field(default_factory=lambda: dict.fromkeys(Status, 0))

    def count(self, statuses: Iterable[Status]) -> int:
        """How many tasks are in any of these states."""
        return sum(self.counts[status] for status in statuses)

    @property
    def ended(self) -> int:
        """How many tasks have ended."""
        return self.count(ENDED)

"""What a server has refused, remembered for a while: a path that it lacks, a field of a call, to
stream a model's answer.
"""

from __future__ import annotations

from collections.abc import Callable

REMEMBERED = 600.0
"""Seconds. Then the server is asked again: it may be another one."""
MOST = 1024
"""Refusals that are remembered at once, of one kind."""
STATUSES = frozenset({400, 404, 405, 422, 500, 501})
"""With these servers refuse what a call asks for."""


class Refusals:
    """What one server has refused, of one kind. `now` tells the seconds of a monotonic clock."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._until: dict[str, float] = {}

    def __contains__(self, name: str) -> bool:
        until = self._until.get(name)
        if until is None:
            return False
        if self._now() < until:
            return True
        del self._until[name]
        return False

    def __len__(self) -> int:
        return len(self._until)

    def note(self, name: str) -> None:
        """The server has refused this."""
        self._until.pop(name, None)
        if len(self._until) >= MOST:
            del self._until[next(iter(self._until))]  # the one that is remembered longest
        self._until[name] = self._now() + REMEMBERED

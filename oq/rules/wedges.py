"""Which models a backend is wedged for: it takes their tasks and produces nothing, though it did.

A backend that does not answer anything is down, and that is found out elsewhere. This one answers
when it is asked whether it lives, and may serve other models. A single task that is silent says
nothing, as an answer may come whole: no task of the model must have produced anything.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import inf

from msgspec import Struct

LOOKS = 4
"""So many looks at what runs in the time after which a model counts as wedged."""
MOST = 4096
"""Models that are remembered to have produced something."""

Key = tuple[str, str]
"""A backend and a model, by its full name (`oq.rules.model_names`)."""


class Run(Struct, frozen=True, gc=False):
    """A task that runs on a backend: since when, and how many chunks it has produced so far."""

    task_id: str
    key: Key
    since: float
    chunks: int


class Wedges:
    """Of all backends. Times are in seconds of a clock that never goes back; `after` is how long
    no task of a model produces anything before it is wedged.
    """

    __slots__ = (
        "_after", "_alive_at", "_away_at", "_chunks", "_looks", "_served", "due", "wedged",
    )  # fmt: skip

    def __init__(self, after: float) -> None:
        self._after = after
        self._looks = 0
        self._served: dict[Key, int] = {}  # at which look it had produced something
        self._alive_at: dict[Key, float] = {}  # of those that run: when one did, as far as seen
        self._away_at: dict[str, float] = {}  # when a backend was down last
        self._chunks: dict[str, int] = {}  # of the tasks that run, at the last look
        self.wedged: frozenset[Key] = frozenset()
        self.due = -inf
        """When to look again, while something runs."""

    def served(self, backend: str, model: str) -> None:
        """A task has been served to its end. It is called for each."""
        self._served[backend, model] = self._looks

    def away(self, backend: str, now: float) -> None:
        """The backend is down: who was silent there before says nothing of it as it is later."""
        self._away_at[backend] = now

    def look(self, runs: Iterable[Run], now: float) -> None:
        """See what runs, and which models are `wedged` now."""
        chunks: dict[str, int] = {}
        alive_at: dict[Key, float] = {}
        for run in runs:
            key = run.key
            chunks[run.task_id] = run.chunks
            if run.chunks > self._chunks.get(run.task_id, 0):
                self._served[key] = self._looks
            known = alive_at.get(key, self._alive_at.get(key, run.since))
            known = max(known, self._away_at.get(key[0], known))
            alive_at[key] = now if self._served.get(key) == self._looks else known
        self._chunks, self._alive_at = chunks, alive_at
        self._looks += 1
        silent = {key: at for key, at in alive_at.items() if key in self._served}
        self.wedged = frozenset(key for key, at in silent.items() if now - at >= self._after)
        ends = [at + self._after for key, at in silent.items() if key not in self.wedged]
        self.due = min(now + self._after / LOOKS, min(ends, default=inf))
        if len(self._served) > MOST:
            self._served = {key: at for key, at in self._served.items() if key in alive_at}

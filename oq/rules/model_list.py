"""Which models a backend has: what the settings say, or else what it says itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import inf

from oq.rules.model_names import NamePattern, full_name

AGAIN = 1.0
"""Seconds between two looks at the list of one backend, at least."""
NEW = 10.0
"""Seconds for which a list is good enough, where a model is in none. While a task waits for a
backend that is down, the others are asked as often: one of them may get its model."""
LATE = 2.0
"""Seconds that a task, or a request that is none, waits for a new list."""
MOST = 5000
"""Names that are kept."""


class ModelList:
    """The models of one backend. `patterns` are names with `*` and `?`, if the settings say them;
    then it is not asked. Times are in seconds of a clock that never goes back.
    """

    __slots__ = ("_has", "_heard_at", "_lacks", "asked_at", "patterns", "wanted")

    def __init__(self, patterns: Sequence[str] | None = None) -> None:
        self.patterns = None if patterns is None else [NamePattern(one) for one in patterns]
        self.wanted = False
        """Whether it is to be asked."""
        self.asked_at = -inf
        self._heard_at = -inf
        self._has: frozenset[str] | None = None
        self._lacks: set[str] = set()

    def has(self, model: str) -> bool | None:
        """Whether the backend has this model; None if it does not say which ones it has."""
        name = full_name(model)
        if name in self._lacks:
            return False
        if self.patterns is not None:
            return any(pattern.fits(model) for pattern in self.patterns)
        return None if self._has is None else name in self._has

    def offers(self, model: str) -> bool:
        """Whether its own list may name this model: the settings may leave it out."""
        return self.patterns is None or self.has(model) is True

    @property
    def said(self) -> bool:
        """Whether the backend says which models it has."""
        return self.patterns is None and self._has is not None

    def is_old(self, now: float) -> bool:
        """Whether a model may have come since it was said, and a new list may be had soon."""
        if not self.said or now - self._heard_at <= NEW:
            return False
        unanswered = self.asked_at > self._heard_at
        return not (unanswered and LATE < now - self.asked_at <= NEW)

    def ask(self, now: float) -> bool:
        """Have it asked, if it was not a moment ago. Whether a new list will come."""
        if not self.said:
            return False
        if self.asked_at + AGAIN <= now:
            self.wanted = True
        return self.wanted or self.asked_at > self._heard_at

    def note_change(self) -> bool:
        """It may have got a model, or lost one. Whether a new list will come."""
        self.wanted = self.patterns is None
        self.asked_at = -inf  # at once
        return self.wanted

    def due(self, *, often: bool) -> float:
        """When to ask for it; inf for never. `often`: a task waits for another backend."""
        if self.patterns is not None:
            return inf
        if self.wanted:
            return self.asked_at + AGAIN
        return self.asked_at + NEW if often and self.said else inf

    def note(self, models: Iterable[str], now: float) -> bool:
        """These are all its models. Whether that is news."""
        self._heard_at = now
        has = frozenset(full_name(name) for name in models)
        if has == self._has:
            return False
        self._has = has
        self._lacks.clear()
        return True

    def note_lack(self, model: str) -> None:
        """It has answered that it has not this model."""
        if len(self._lacks) >= MOST:
            self._lacks.clear()
        self._lacks.add(full_name(model))
        self.wanted = self.said

    def forget_lacks(self) -> None:
        """What it lacked it may have now."""
        self._lacks.clear()

    def record(self) -> tuple[str, ...] | None:
        """What is kept, for `restore`; None if there is nothing, or too much."""
        return None if self._has is None or len(self._has) > MOST else tuple(sorted(self._has))

    def restore(self, record: tuple[str, ...] | None) -> None:
        """What it had before the process started."""
        self._has = None if record is None else frozenset(record)

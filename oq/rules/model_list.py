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
LACKS = 60.0
"""Seconds for which a backend is believed that it has not a model of its list: it may have been
made anew, and a list that is wrong costs one attempt in that time."""
MOST = 5000
"""Names that are kept."""


class ModelList:
    """The models of one backend. `patterns` are names with `*` and `?`, if the settings say them;
    then it is not asked. Times are in seconds of a clock that never goes back.
    """

    __slots__ = ("_has", "_heard_at", "_lacks", "_open_since", "asked_at", "patterns", "wanted")

    def __init__(self, patterns: Sequence[str] | None = None) -> None:
        self.patterns = None if patterns is None else [NamePattern(one) for one in patterns]
        self.wanted = False
        """Whether it is to be asked."""
        self.asked_at = -inf
        self._heard_at = -inf
        self._has: frozenset[str] | None = None
        self._open_since = inf  # the first question that was not answered yet; -inf: it will not be
        self._lacks: dict[str, float] = {}  # until when each is believed

    def has(self, model: str) -> bool | None:
        """Whether the backend has this model; None if it does not say which ones it has."""
        return False if model in self._lacks else self.names(model)

    def names(self, model: str) -> bool | None:
        """The same by its list alone, whatever it answered when it was sent a task."""
        if self.patterns is not None:
            return any(pattern.fits(model) for pattern in self.patterns)
        return None if self._has is None else full_name(model) in self._has

    def offers(self, model: str) -> bool:
        """Whether its own list may name this model: the settings may leave it out."""
        return self.patterns is None or self.has(model) is True

    @property
    def said(self) -> bool:
        """Whether the backend says which models it has."""
        return self.patterns is None and self._has is not None

    def is_old(self, now: float) -> bool:
        """Whether a model may have come since it was said."""
        return self.said and now - self._heard_at > NEW

    def may_be_news(self, now: float) -> bool:
        """Whether it is old, and was not asked lately without an answer."""
        return self.is_old(now) and self.asked_at + NEW < now

    def renew(self, now: float) -> float:
        """It is old: have it asked, unless it was lately and has not answered. Until when a new
        list is to be waited for: that may be over.
        """
        if self.asked_at + NEW < now:
            self.wanted = True
        return min(now, self._open_since) + LATE

    def ask(self, now: float) -> bool:
        """Have it asked, if it was not a moment ago. Whether a new list will come."""
        if not self.said:
            return False
        if self.asked_at + AGAIN <= now:
            self.wanted = True
        return self.wanted or -inf < self._open_since < inf

    def doubt(self) -> None:
        """What it has said may not be so any more: before it is believed it is to be asked."""
        self._heard_at, self.wanted = -inf, True

    def note_asked(self, now: float) -> None:
        """It is asked now."""
        self.asked_at, self.wanted = now, False
        self._open_since = min(self._open_since, now)

    def note_silent(self) -> None:
        """It was asked, and will not say it: nobody waits for that until it has said it again."""
        self._open_since = -inf

    def note_change(self) -> bool:
        """It may have got a model, or lost one. Whether a new list will come."""
        self._lacks.clear()
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
        self._heard_at, self._open_since = now, inf
        has = frozenset(full_name(name) for name in models)
        if has == self._has:
            return False
        self._has = has
        self._lacks.clear()
        return True

    def note_lack(self, model: str, now: float) -> None:
        """It has answered that it has not this model. It may have it under its other spelling: not
        to every server `x` and `x:latest` are one.
        """
        if len(self._lacks) >= MOST:
            self._lacks.clear()
        self._lacks[model] = now + LACKS
        self.wanted = self.said

    def forget_lacks(self, now: float = inf) -> None:
        """What it lacked it may have now: all, or what it is believed until then."""
        self._lacks = {model: until for model, until in self._lacks.items() if until > now}

    def next_at(self, now: float) -> float:
        """When a lack is believed no more, or a list waited for no longer; inf if there is none."""
        late = self._open_since + LATE
        return min(late if late > now else inf, inf, *self._lacks.values())

    def record(self) -> tuple[str, ...] | None:
        """What is kept, for `restore`; None if there is nothing, or too much."""
        return None if self._has is None or len(self._has) > MOST else tuple(sorted(self._has))

    def restore(self, record: tuple[str, ...] | None) -> None:
        """What it had before the process started."""
        self._has = None if record is None else frozenset(record)

"""How one backend was lately: when it was down, held, or loaded a model."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from oq.words.timeline import SpanKind

KEPT = 200
"""Spans that are over."""


class Span(NamedTuple):
    """Of a backend, in seconds of a clock that never goes back; `until` is None while it lasts."""

    kind: SpanKind
    reason: str
    since: float
    until: float | None = None


class BackendPast:
    """Of one backend."""

    __slots__ = ("_ended", "_lasting")

    def __init__(self) -> None:
        self._ended: deque[Span] = deque(maxlen=KEPT)
        self._lasting: dict[tuple[str, str], Span] = {}

    @property
    def lasts(self) -> bool:
        """Whether something lasts, as far as is known."""
        return bool(self._lasting)

    def note(self, states: Iterable[tuple[SpanKind, str, str]], now: float) -> None:
        """All that lasts now: its kind, what tells it from another of its kind, and the reason."""
        lasting: dict[tuple[str, str], Span] = {}
        for kind, key, reason in states:
            before = self._lasting.pop((kind, key), None)
            lasting[kind, key] = Span(kind, reason, now if before is None else before.since)
        self._ended.extend(span._replace(until=now) for span in self._lasting.values())
        self._lasting = lasting

    def since(self, time: float) -> list[Span]:
        """What was at this time or later, the oldest first."""
        ended = [span for span in self._ended if span.until is None or span.until >= time]
        return sorted([*ended, *self._lasting.values()], key=lambda span: span.since)

"""Models whose server does not stream their answers, or not the one that was asked for.

Some servers refuse a call that asks for a stream: with tools, or with `stream_options`, or at all.
Tasks need no stream, so such a server is asked for a whole answer. If it gives one, that is
remembered for a while.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from oq.words.errors import BackendError

REMEMBERED = 600.0
"""Seconds. Then a stream is asked for again: the server may be another one."""
MOST_MODELS = 1024

_REFUSALS = frozenset({400, 404, 405, 422, 500, 501})
_STREAM = re.compile(rb"stream", re.IGNORECASE)


class Unstreamed:
    """What one server has refused. `now` tells the seconds of a monotonic clock."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._until: dict[str, float] = {}

    def __contains__(self, model: str) -> bool:
        until = self._until.get(model)
        if until is None:
            return False
        if self._now() < until:
            return True
        del self._until[model]
        return False

    def __len__(self) -> int:
        return len(self._until)

    def note(self, model: str) -> None:
        """The server has refused to stream this model's answer."""
        self._until.pop(model, None)
        if len(self._until) >= MOST_MODELS:
            del self._until[next(iter(self._until))]  # the one that is remembered longest
        self._until[model] = self._now() + REMEMBERED


def refuses_stream(error: BackendError) -> bool:
    """Whether a call was refused because it asked for a stream: the error speaks of that."""
    said = error.body if error.body is not None else str(error).encode()
    return error.status in _REFUSALS and _STREAM.search(said) is not None

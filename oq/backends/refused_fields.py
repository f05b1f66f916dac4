"""Hints in translated calls that a server refuses, by what it says of them.

Some servers refuse `stream_options`, a level of thinking that they do not know, thinking of a model
that does not, the thoughts of earlier turns, or to stream at all. The caller did not ask for that
in these words, or can do without. So the call is made again without what the error names, and that
is remembered for a while.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from oq.backends.unstreamed import Unstreamed
from oq.dialects.translate import Translated
from oq.words.errors import BackendError

_REFUSALS = frozenset({400, 404, 405, 422, 500, 501})
_NAMED = {
    "stream_options": re.compile(rb"stream_options", re.IGNORECASE),
    "reasoning_content": re.compile(rb"reasoning_content", re.IGNORECASE),
    "reasoning_effort": re.compile(rb"reasoning", re.IGNORECASE),
    "parallel_tool_calls": re.compile(rb"parallel_tool_calls", re.IGNORECASE),
    "think": re.compile(rb"think", re.IGNORECASE),
    "stream": re.compile(rb"stream", re.IGNORECASE),
}
"""How an error speaks of each, the most particular ones first."""


class RefusedFields:
    """What one server refuses, by model. `now` tells the seconds of a monotonic clock."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._models = {name: Unstreamed(now) for name in _NAMED}

    def of(self, model: str) -> frozenset[str]:
        """The fields that it refuses for this model."""
        return frozenset(name for name, models in self._models.items() if model in models)

    def learn(self, error: BackendError, sent: Translated, model: str) -> bool:
        """Whether the error says something new: that the server refuses a field that was sent."""
        if error.status not in _REFUSALS or error.body is None:
            return False
        for name, speaks_of_it in _NAMED.items():
            if sent.has(name) and speaks_of_it.search(error.body):
                self._models[name].note(model)
                return True
        return False

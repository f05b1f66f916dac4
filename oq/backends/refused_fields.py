"""Hints in translated calls that a server refuses, by what it says of them.

Some servers refuse `stream_options`, a level of thinking that they do not know, thinking of a model
that does not, the thoughts of earlier turns, or to stream at all. The caller did not ask for that
in these words, or can do without. So the call is made again without what the error names. If it
succeeds then, that is remembered for a while: of this model, and of a level of just this one.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from oq.backends.echoes import has_phrase
from oq.backends.refusals import STATUSES, Refusals
from oq.dialects.translate import Translated
from oq.dialects.translate.chat_request import read_body
from oq.words.errors import BackendError, InvalidTask

_NAMED = {
    "stream_options": re.compile(rb"stream_options", re.IGNORECASE),
    "reasoning_content": re.compile(rb"reasoning_content", re.IGNORECASE),
    "reasoning_effort": re.compile(rb"reasoning(_effort)?", re.IGNORECASE),
    "parallel_tool_calls": re.compile(rb"parallel_tool_calls", re.IGNORECASE),
    "think": re.compile(rb"think(ing)?", re.IGNORECASE),
    "stream": re.compile(rb"stream", re.IGNORECASE),
}
"""How an error speaks of each, the most particular ones first."""
_LEVELS = frozenset({"reasoning_effort", "think"})
_LONGEST_LEVEL = 64
"""Bytes. What is longer is no level of any server."""


class RefusedFields:
    """What one server refuses, by model. `now` tells the seconds of a monotonic clock."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._models = {name: Refusals(now) for name in _NAMED}

    def of(self, call: Translated, model: str) -> frozenset[str]:
        """The fields of this call that it refuses for this model."""
        return frozenset(
            name
            for name, refused in self._models.items()
            if len(refused) and _key(call, name, model) in refused
        )

    def note(self, call: Translated, model: str, refused: dict[str, str]) -> None:
        """The call has succeeded without these fields: names, and the words that refused them. A
        word that the caller wrote too may be an echo: then nothing is remembered.
        """
        if not refused:
            return
        try:
            written = _written(call)
        except InvalidTask:
            return
        for name, word in refused.items():
            value = call.value(name) if name in _LEVELS else b""
            if len(value) <= _LONGEST_LEVEL and not has_phrase(written, word):
                self._models[name].note(_key(call, name, model))


def refused_field(error: BackendError, sent: Translated) -> tuple[str, str] | None:
    """The field of this call that the error refuses, and the word by which it does."""
    if error.status not in STATUSES or error.body is None:
        return None
    for name, speaks_of_it in _NAMED.items():
        if sent.has(name) and (said := speaks_of_it.search(error.body)):
            return name, said[0].decode().lower()
    return None


def _key(call: Translated, name: str, model: str) -> str:
    if name not in _LEVELS:
        return model
    return f"{model}\0{call.value(name)[: _LONGEST_LEVEL + 1].decode('utf-8', 'replace')}"


def _written(call: Translated) -> list[object]:
    """What of the call is its caller's own, not the form's. InvalidTask if nobody can tell."""
    members = read_body(call.body)
    for message in members.get("messages", []):
        message.pop("reasoning_content", None)
    return [value for name, value in members.items() if name not in _NAMED]

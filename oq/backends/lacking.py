"""Paths that a server turns out not to have.

A server says 404 of a path that it does not know, and of a model that it does not know. Beside that
they say of a path: Ollama (gin) ``404 page not found``, llama.cpp ``File Not Found``, vLLM and
SGLang (FastAPI) ``{"detail":"Not Found"}``, Express ``Cannot POST /v1/messages``, axum nothing at
all, LM Studio ``Unexpected endpoint or method``. Of a model all of them name it, or say "model".
"""

from __future__ import annotations

import re
from collections.abc import Callable

from oq.dialects.answer_errors import error_text
from oq.words.errors import BackendError

REMEMBERED = 600.0
"""Seconds. Then the path is tried again: the server may be a newer one by then."""

_NO_SUCH = frozenset({404, 405, 501})
_MODEL = re.compile(r"model", re.IGNORECASE)
_UNEXPECTED = re.compile(r"unexpected endpoint", re.IGNORECASE)


class LackingPaths:
    """The paths that one server lacks. `now` tells the seconds of a monotonic clock."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._until: dict[str, float] = {}

    def __contains__(self, path: str) -> bool:
        return self._now() < self._until.get(path, 0.0)

    def note(self, path: str) -> None:
        """The server has said that it does not have this path: one of those of `oq.dialects`."""
        self._until[path] = self._now() + REMEMBERED


def lacks_path(error: BackendError, model: str) -> bool:
    """Whether a server that answers a call for this model like this lacks the call's path."""
    said = "" if error.body is None else error_text(error.body)
    if _UNEXPECTED.search(said):  # LM Studio says it under any status
        return True
    if error.status not in _NO_SUCH:
        return False
    named = re.search(rf"(?<!\w){re.escape(model)}(?!\w)", said)
    return error.status == 405 or not (_MODEL.search(said) or named)

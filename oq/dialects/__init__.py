"""Floor 2: the APIs whose calls oq takes as they are. Pure.

    base            what a dialect is: its calls, how it asks, answers and says errors
    ollama, openai  one dialect each              ollama_fold, openai_fold  a stream as one object
    framing         bytes as lines and events     events   server-sent events, for all that use them
    answer_errors   the errors in an answer       growing  a text that comes bit by bit
    allowance       the memory that one answer may take

Everybody else asks a call for its `dialect`, and that for what they want to know; nobody asks which
dialect it is. To add one: write its module, put it into DIALECTS here, name it in `speaks` of the
backends that answer its calls, and give samples of its calls to tests/unit/dialects/samples.py.
"""

from __future__ import annotations

from collections.abc import Callable

from oq.dialects.base import Dialect, Endpoint, task_form
from oq.dialects.ollama import OLLAMA
from oq.dialects.openai import OPENAI
from oq.words.config import Config
from oq.words.errors import InvalidConfig
from oq.words.stream import Piece
from oq.words.task import Body

__all__ = [
    "DIALECTS",
    "ENDPOINTS",
    "Dialect",
    "Endpoint",
    "as_shown",
    "check_paths",
    "dialect_at",
    "piece_reader",
]

DIALECTS: tuple[Dialect, ...] = (OLLAMA, OPENAI)

ENDPOINTS: dict[str, Endpoint] = {
    call.path: call for dialect in DIALECTS for call in dialect.endpoints
}
"""By path."""

_PREFIXES = sorted(
    ((prefix, dialect) for dialect in DIALECTS for prefix in dialect.prefixes),
    key=lambda item: -len(item[0]),
)


def dialect_at(path: str) -> Dialect | None:
    """Whose API this path belongs to: that of the longest prefix. None if it is nobody's."""
    return next((dialect for prefix, dialect in _PREFIXES if path.startswith(prefix)), None)


def as_shown(body: Body) -> Body:
    """What a task asks for, as payload and options: those of a call are parts of its one body."""
    if body.call is None:
        return body
    call = ENDPOINTS.get(body.call)
    return task_form(body.payload) if call is None else call.dialect.shown(body.payload)


def piece_reader(call: str | None) -> Callable[[bytes], Piece]:
    """What reads the piece of a stream in each frame of the answer to this call.

    Of a call that this oq does not know, or a log that does not name it, each frame is read as what
    it looks like: a line of Ollama's, or an event of OpenAI's.
    """
    known = ENDPOINTS.get(call or "")
    return _piece_of_any if known is None else known.dialect.piece


def check_paths(config: Config) -> None:
    """InvalidConfig names the first rule of `gateway.priorities` whose path is that of no call."""
    for index, rule in enumerate(config.gateway.priorities):
        if rule.path not in ENDPOINTS:
            known = ", ".join(ENDPOINTS)
            raise InvalidConfig(
                f"gateway.priorities[{index}].path: {rule.path!r} is none of {known}"
            )


def _piece_of_any(frame: bytes) -> Piece:
    return (OLLAMA if frame.lstrip()[:1] == b"{" else OPENAI).piece(frame)

"""Floor 2: the dialects, which are the APIs whose calls oq runs as tasks. No I/O.

    base            what a dialect must know: its endpoints, how it reads, answers and says errors
    ollama          Ollama's API                  ollama_fold      its stream as one object
    openai          OpenAI's API                  openai_fold      its stream as one object
    responses       its Responses API             responses_fold   its stream as one object
    kept_response   a response that is made in the background, and kept
    kept_events     its stream                    kept_items       what it was asked
    response_object what oq itself says of a response
    anthropic       Anthropic's API               anthropic_fold   its stream as one object
    marked_fold     what the folds of streams that end with [DONE] have in common
    openai_media    images, sound, moderations    openai_media_fold   their streams as one object
    llama_cpp       llama.cpp's own API           llama_cpp_fold   its stream as one object
    rerank          reranking, which many servers have
    documents       bodies that are forms or compressed, as JSON; inflating: piece by piece
    translate       calls of the one as calls of the other, for servers that lack them
    framing         splits bytes into lines and events
    passthrough     passes frames on as they came, and has them read
    alike           frames that differ in one text alone
    events          server-sent events, for every dialect that streams them
    reading         JSON, and what is almost JSON
    call_fields     what a call asks for, read as leniently as servers read it
    answer_errors   errors in what a backend sent
    stated_errors   errors within an answer: whether a retry may help
    timings         how long it took
    answer_limit    the memory that one answer may take
    model_lists     lists of models of several servers as one
    deltas          objects and lists that arrive in small pieces
    growing_text    a long text that does
    tool_calls      calls of tools that do
    tool_parts      which call a part of one belongs to

No other part of oq asks which dialect a call has. It asks the dialect what it needs to know.

To add a dialect: write its module, add it to DIALECTS below, add it to `speaks` of the backends
that answer its calls, and add samples of its calls to tests/unit/dialects/samples.py. The tests
beside the samples then check it.
"""

from __future__ import annotations

from collections.abc import Callable

from oq.dialects.anthropic import ANTHROPIC
from oq.dialects.base import Dialect, Endpoint, Reading, task_form
from oq.dialects.documents import document_of
from oq.dialects.llama_cpp import LLAMA_CPP
from oq.dialects.ollama import OLLAMA
from oq.dialects.openai import OPENAI
from oq.dialects.openai_media import OPENAI_MEDIA
from oq.dialects.rerank import RERANK
from oq.dialects.responses import RESPONSES
from oq.words.config import Config
from oq.words.errors import InvalidConfig
from oq.words.stream import Piece
from oq.words.task import Body

__all__ = [
    "DIALECTS",
    "ENDPOINTS",
    "OPEN_DIALECTS",
    "Dialect",
    "Endpoint",
    "Reading",
    "as_shown",
    "check_paths",
    "dialect_at",
    "document_of",
    "piece_reader",
    "text_in",
]

DIALECTS: tuple[Dialect, ...] = (
    OLLAMA, OPENAI, RESPONSES, ANTHROPIC, OPENAI_MEDIA, RERANK, LLAMA_CPP,
)  # fmt: skip
OPEN_DIALECTS: tuple[Dialect, ...] = DIALECTS[1:]
"""Those that no server has to itself: one that is asked for a path that it lacks says so."""

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
    return next((dialect for prefix, dialect in _PREFIXES if _is_below(path, prefix)), None)


def as_shown(body: Body, document: bytes | None = None) -> Body:
    """What a task asks for, as payload and options: those of a call are parts of its one body.
    `document`: what was read of it already.
    """
    if body.call is None:
        return body
    document = document_of(body) if document is None else document
    call = ENDPOINTS.get(body.call)
    return task_form(document) if call is None else call.dialect.shown(document)


def piece_reader(call: str | None) -> Callable[[bytes], Piece]:
    """What reads the piece of a stream in each frame of the answer to this call.

    Of a call that this oq does not know, or a log that does not name it, each frame is read as what
    it looks like: a line of Ollama's, or an event of OpenAI's.
    """
    known = ENDPOINTS.get(call or "")
    return _piece_of_any if known is None else known.dialect.piece


def text_in(result: object) -> str | None:
    """The text in the result of a task, whose call need not be known. None if there is none."""
    texts = (dialect.text(result) for dialect in DIALECTS)
    return next((text for text in texts if text is not None), None)


def check_paths(config: Config) -> None:
    """InvalidConfig names the first rule of `gateway.priorities` whose path is that of no call."""
    for index, rule in enumerate(config.gateway.priorities):
        if rule.path not in ENDPOINTS:
            known = ", ".join(ENDPOINTS)
            raise InvalidConfig(
                f"gateway.priorities[{index}].path: {rule.path!r} is none of {known}"
            )


def _is_below(path: str, prefix: str) -> bool:
    """Whether the parts of the path begin with those of the prefix. ``/v1/a`` is not ``/v1/ab``."""
    return path == prefix or path.startswith(prefix.rstrip("/") + "/")


def _piece_of_any(frame: bytes) -> Piece:
    return (OLLAMA if frame.lstrip()[:1] == b"{" else OPENAI).piece(frame)

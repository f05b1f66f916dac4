"""A call's answer on its way to the caller: the backend's own bytes, looked at but not touched.

Each line of Ollama's, or each event of OpenAI's, is folded, for the result that is kept and for
callers that did not want a stream; then it is passed on as it came, with its line ends.
"""

from __future__ import annotations

import re
from typing import Protocol

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from oq.backends.answer_limit import MAX_ANSWER
from oq.backends.base import Emit, Request
from oq.backends.failures import error_text, quoted
from oq.backends.fold import FoldedLines, decode_answer
from oq.backends.lines import End, Frames
from oq.backends.openai_fold import OpenAIFold, openai_usage
from oq.backends.transport import Transport
from oq.rules.call_body import upstream_body
from oq.rules.stream_log import event_data
from oq.words.endpoints import ENDPOINTS, Dialect, Endpoint
from oq.words.errors import BackendFailure
from oq.words.outcome import Completed
from oq.words.task import Usage

_CALLED_ERROR = re.compile(rb"^event:[ \t]*error[ \t\r]*$", re.MULTILINE)
_COMMENT = (b":", b"event:", b"id:", b"retry:")


class _Embedded(Struct):
    """What an answer with embeddings has, in each of the three forms there are."""

    embedding: Raw | UnsetType = UNSET
    embeddings: Raw | UnsetType = UNSET
    data: Raw | UnsetType = UNSET
    prompt_eval_count: int | None = None


_EMBEDDED = msgspec.json.Decoder(_Embedded)


class Answer(Protocol):
    """What is made of an answer's bytes."""

    def feed(self, data: bytes) -> bool:
        """Take what has come; true once the answer is whole."""
        ...

    def completed(self) -> Completed:
        """The whole answer. BackendFailure if it is none."""
        ...


async def run_call(
    transport: Transport, path: str, request: Request, emit: Emit, *, indexed: bool
) -> Completed:
    """Make the call of this task at a backend that speaks its dialect, where it is at `path`.

    `indexed`: see `OpenAIFold`. The errors are those of `oq.backends.base.Backend.run`.
    """
    assert request.call is not None
    call = ENDPOINTS[request.call]
    if call.streams is None:
        return embedding(call, await transport.fetch(path, request.payload))
    answer = streamed(call, emit, indexed=indexed, limit=transport.max_answer)
    await transport.stream(path, upstream_body(call, request.payload), answer.feed)
    return answer.completed()


def streamed(call: Endpoint, emit: Emit, *, indexed: bool, limit: int = MAX_ANSWER) -> Answer:
    """The streamed answer to a call. `limit`: the bytes of memory that it may take."""
    if call.dialect is Dialect.OPENAI:
        return _Events(emit, indexed=indexed, limit=limit)
    return FoldedLines(Frames(End.LINE), call.type, emit, limit)


def embedding(call: Endpoint, body: bytes) -> Completed:
    """The answer to a call for embeddings; BackendFailure if it is none."""
    answer = decode_answer(_EMBEDDED.decode, body)
    if answer.embedding is UNSET and answer.embeddings is UNSET and answer.data is UNSET:
        raise BackendFailure(f"the backend sent something that is no embedding: {quoted(body)}")
    if call.dialect is Dialect.OPENAI:
        return Completed(body, openai_usage(body))
    count = answer.prompt_eval_count
    return Completed(body, None if count is None else Usage(count, 0))


class _Events:
    """OpenAI's server-sent events. Or one whole answer: some servers stream nothing, whatever they
    are asked for, and some say errors so.
    """

    def __init__(self, emit: Emit, *, indexed: bool, limit: int) -> None:
        self._frames = Frames(End.EVENT)
        self._fold = OpenAIFold(indexed=indexed, limit=limit)
        self._emit = emit
        self._begun = False

    def feed(self, data: bytes) -> bool:
        for event in self._frames.feed(data):
            self._take(event)
        return self._fold.done

    def completed(self) -> Completed:
        self._take(self._frames.rest())
        return self._fold.completed()

    def _take(self, event: bytes) -> None:
        if not event or self._fold.done:
            return
        self._fold.take(event)
        data = event_data(event)
        if data and _CALLED_ERROR.search(event):
            text = f"the backend broke off with an error: {error_text(data)}"
            raise BackendFailure(text, body=event)
        if data:
            self._fold.add(data, event)
        elif not self._begun and event.lstrip().startswith(b"{"):
            self._fold.add(event, event)
        elif event.strip() and not event.lstrip().startswith(_COMMENT):
            raise BackendFailure(f"the backend sent something that is no event: {quoted(event)}")
        self._begun = True
        self._emit(event)

"""A call's answer on its way to the caller: the backend's own bytes, looked at but not touched.

Each line of Ollama's, or each event of OpenAI's, is folded, for the result that is kept and for
callers that did not want a stream; then it is passed on as it came, with its line ends.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from oq.backends.base import Emit, Request
from oq.backends.fold import FoldedLines, decode_answer
from oq.backends.lines import MAX_LINE
from oq.backends.openai_fold import OpenAIFold, openai_usage
from oq.backends.transport import Transport
from oq.rules.calls import upstream_body
from oq.rules.pieces import event_data
from oq.words.calls import CALLS, Call, Dialect
from oq.words.errors import BackendFailure
from oq.words.outcome import Completed
from oq.words.task import Usage

_BLANK = (b"\n\n", b"\n\r\n")
"""The line that ends an event, as servers write it."""


class _OllamaCounts(msgspec.Struct):
    prompt_eval_count: int | None = None


_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_COUNTS = msgspec.json.Decoder(_OllamaCounts)


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
    call = CALLS[request.call]
    if call.streams is None:
        return embedding(call, await transport.fetch(path, request.payload))
    answer = streamed(call, emit, indexed=indexed)
    await transport.stream(path, upstream_body(call, request.payload), answer.feed)
    return answer.completed()


def streamed(call: Call, emit: Emit, *, indexed: bool) -> Answer:
    """The streamed answer to a call."""
    if call.dialect is Dialect.OPENAI:
        return _Events(emit, indexed=indexed)
    return FoldedLines(_Frames((b"\n",)), call.type, emit)


def embedding(call: Call, body: bytes) -> Completed:
    """The answer to a call for embeddings; BackendFailure if it is none."""
    fields = decode_answer(_OBJECT.decode, body)
    if not fields.keys() & {"embedding", "embeddings", "data"}:
        raise BackendFailure(f"the backend sent something that is no embedding: {body[:200]!r}")
    if call.dialect is Dialect.OPENAI:
        return Completed(body, openai_usage(body))
    count = decode_answer(_COUNTS.decode, body).prompt_eval_count
    return Completed(body, None if count is None else Usage(count, 0))


class _Events:
    """OpenAI's server-sent events. Or one whole answer: some servers stream nothing, whatever they
    are asked for, and some say errors so.
    """

    def __init__(self, emit: Emit, *, indexed: bool) -> None:
        self._frames = _Frames(_BLANK)
        self._fold = OpenAIFold(indexed=indexed)
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
        data = event_data(event)
        if data:
            self._fold.add(data, event)
        elif not self._begun and event.lstrip().startswith(b"{"):
            self._fold.add(event, event)
        elif event.strip() and not event.lstrip().startswith((b":", b"event:", b"id:", b"retry:")):
            quoted = event[:200].decode("utf-8", "replace")
            raise BackendFailure(f"the backend sent something that is no event: {quoted!r}")
        self._begun = True
        self._emit(event)


class _Frames:
    """Splits a stream behind each of the `ends`, wherever the network cut it, and loses nothing."""

    def __init__(self, ends: tuple[bytes, ...], limit: int = MAX_LINE) -> None:
        self._ends = ends
        self._limit = limit
        self._held = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The frames that `data` completes; BackendFailure if one is longer than the limit."""
        searched = max(0, len(self._held) - 3)  # an end may have been cut in two
        self._held += data
        frames = []
        begin = 0
        while (end := self._end(max(begin, searched))) > 0:
            frames.append(bytes(self._held[begin:end]))
            begin = end
        del self._held[:begin]
        if len(self._held) > self._limit:
            raise BackendFailure(f"the backend sent a line of more than {self._limit} bytes")
        return frames

    def rest(self) -> bytes:
        """What has come after the last end."""
        return bytes(self._held)

    def _end(self, start: int) -> int:
        """Where the first frame that ends after `start` ends; 0 if none does."""
        ends = [
            found + len(end) for end in self._ends if (found := self._held.find(end, start)) >= 0
        ]
        return min(ends, default=0)

"""A stream in Ollama's form, folded into the one object that the same call gives without streaming.

Texts and lists are put together from all chunks; everything else is the last chunk's, byte for
byte: https://github.com/ollama/ollama/blob/main/docs/api.md
"""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct

from oq.dialects.answer_errors import decode_answer, error_text, first_byte, quoted, states_error
from oq.dialects.answer_limit import MAX_ANSWER, AnswerLimit
from oq.dialects.base import Emit
from oq.dialects.framing import End, Frames
from oq.dialects.growing_text import GrowingText
from oq.words.errors import BackendFailure
from oq.words.outcome import Completed
from oq.words.task import TaskType, Usage

_OBJECT = msgspec.json.Decoder(dict[str, Raw])
_TEXT = msgspec.json.Decoder(str | None)
_LIST = msgspec.json.Decoder(list[Raw] | None)
_TEXTS = frozenset({"content", "response", "thinking"})
_LISTS = frozenset({"tool_calls", "logprobs"})


class _Counts(Struct):
    prompt_eval_count: int | None = None
    eval_count: int | None = None


class _Embedded(_Counts, kw_only=True):
    embeddings: Raw


_COUNTS = msgspec.json.Decoder(_Counts)
_EMBEDDED = msgspec.json.Decoder(_Embedded)


class _Parts:
    """Objects of one shape, merged in the order in which they come."""

    def __init__(self) -> None:
        self._texts: dict[str, GrowingText] = {}
        self._lists: dict[str, list[Raw]] = {}
        self._rest: dict[str, Raw] = {}

    def add(self, fields: dict[str, Raw]) -> None:
        for key, raw in fields.items():
            if key in _TEXTS:
                text = self._texts.get(key)
                if text is None:
                    text = self._texts[key] = GrowingText()
                text.add(decode_answer(_TEXT.decode, raw) or "")
            elif key in _LISTS:
                items = decode_answer(_LIST.decode, raw) or []
                # A copy, lest a small item keeps its whole line in memory.
                self._lists.setdefault(key, []).extend(item.copy() for item in items)
            else:
                self._rest[key] = raw

    def merged(self) -> dict[str, object]:
        joined = {key: text.raw() for key, text in self._texts.items()}
        return {**self._rest, **joined, **self._lists}


class Fold:
    """Takes the chunks of one chat or generate answer, each a JSON object in Ollama's form."""

    def __init__(self, kind: TaskType, limit: int = MAX_ANSWER) -> None:
        self._kind = kind
        self._allowance = AnswerLimit(limit)
        self._answer = _Parts()
        self._message = _Parts()
        self._last: dict[str, Raw] = {}
        self._last_line = b""
        self.done = False
        """Whether the chunk with ``done: true`` has come."""

    def add(self, line: bytes) -> None:
        """Fold one chunk. BackendFailure if it is not one, if it is an error, or if the answer
        takes more memory than it may.
        """
        self._allowance.take(line)
        fields = decode_answer(_OBJECT.decode, line)
        if states_error(fields):
            text = f"the backend broke off with an error: {error_text(line)}"
            raise BackendFailure(text, body=line)
        message = fields.get("message")
        if message is not None:
            self._message.add(decode_answer(_OBJECT.decode, message))
        self._answer.add(fields)
        self._last, self._last_line = fields, line
        self.done = bytes(fields.get("done", b"")) == b"true"

    def completed(self) -> Completed:
        """The whole answer. BackendFailure if the stream ended before ``done: true``."""
        if not self.done:
            raise BackendFailure("the stream ended before done")
        merged = self._answer.merged()
        if self._kind is TaskType.CHAT:
            merged["message"] = self._message.merged()
        # In the order of the last chunk, and nothing of earlier ones but what was put together.
        kept = {key: merged[key] for key in self._last}
        kept |= {k: v for k, v in merged.items() if k in _TEXTS or k in _LISTS or k == "message"}
        return Completed(msgspec.json.encode(kept), _usage(self._last_line))


class FoldedLines:
    """Ollama's NDJSON as it comes in: each line is folded, and then passed on."""

    def __init__(self, kind: TaskType, emit: Emit, limit: int = MAX_ANSWER) -> None:
        self._lines = Frames(End.LINE)
        self._fold = Fold(kind, limit)
        self._emit = emit

    def feed(self, data: bytes) -> bool:
        """Take what has come; true once the answer is whole."""
        for line in self._lines.feed(data):
            self._take(line)
        return self._fold.done

    def completed(self) -> Completed:
        """The whole answer. BackendFailure if it is none."""
        # A last line without its newline is whole if it reads as one, and half a line if not.
        self._take(self._lines.rest())
        return self._fold.completed()

    def _take(self, line: bytes) -> None:
        if not line.strip() or self._fold.done:
            return
        self._fold.add(line)
        self._emit(line)


def embedded(body: bytes) -> Completed:
    """The answer to an embed call; BackendFailure if it is not one."""
    answer = decode_answer(_EMBEDDED.decode, body)
    if first_byte(answer.embeddings) != b"[":
        raise BackendFailure(f"the backend sent something that is no embedding: {quoted(body)}")
    return Completed(body, _to_usage(answer))


def _usage(line: bytes) -> Usage | None:
    return _to_usage(decode_answer(_COUNTS.decode, line))


def _to_usage(counts: _Counts) -> Usage | None:
    if counts.prompt_eval_count is None and counts.eval_count is None:
        return None
    return Usage(counts.prompt_eval_count or 0, counts.eval_count or 0)

"""A stream in Ollama's form, folded into the one object that the same call gives without streaming.

Texts and lists are put together from all chunks; everything else is the last word on it, byte for
byte: https://github.com/ollama/ollama/blob/main/docs/api.md
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType, field

from oq.dialects.answer_errors import decode_answer, first_byte, quoted, states_error
from oq.dialects.answer_limit import MAX_ANSWER
from oq.dialects.base import EmitFrame, Scrub
from oq.dialects.framing import End
from oq.dialects.growing_text import GrowingText, RepeatedText
from oq.dialects.passthrough import Found, PassedFrames
from oq.dialects.reading import count, read, read_object, sound, with_halves, write
from oq.dialects.stated_errors import check_stated, stated
from oq.dialects.timings import ollama_timings
from oq.rules.stream_log import piece_of
from oq.words.errors import BackendFailure
from oq.words.from_json import NOT_READ
from oq.words.outcome import Completed
from oq.words.task import TaskType, Usage

Fields = Mapping[str, Raw]

_OBJECT = msgspec.json.Decoder(dict[str, Raw])
_TEXT = msgspec.json.Decoder(str)
_LIST = msgspec.json.Decoder(list[Raw])
_TEXTS = frozenset({"content", "response", "thinking"})
"""Texts that come bit by bit, even if two bits are the same."""
_LISTS = frozenset({"tool_calls", "logprobs", "images"})
_PLAIN = frozenset(
    {"created_at", "done", "done_reason", "id", "model", "remote_host", "remote_model", "role",
     "status", "tool_call_id", "tool_name", "type"}
)  # fmt: skip
"""What is whole when it comes."""
_THINKING = "thinking"
_MESSAGE = "message"
"""What has members that come bit by bit; see `Fold`."""
_RENDERED = "_debug_info"
"""What Ollama says instead of an answer to `_debug_render_only`; it is never done then."""
_COUNTS = ("prompt_eval_count", "eval_count")


class _Message(Struct, forbid_unknown_fields=True, gc=False):
    role: str
    text: str = field(name="content")
    thinking: str | UnsetType = UNSET


class _ChatLine(Struct, forbid_unknown_fields=True, gc=False):
    """What nearly all lines of a chat say, and nothing else."""

    model: str
    created_at: str
    said: _Message = field(name="message")
    done: bool


class _GenerateLine(Struct, forbid_unknown_fields=True, gc=False):
    """The same of an answer to a prompt."""

    model: str
    created_at: str
    text: str = field(name="response")
    done: bool
    thinking: str | UnsetType = UNSET

    @property
    def said(self) -> _GenerateLine:
        return self


_chat_line = msgspec.json.Decoder(_ChatLine).decode
_generate_line = msgspec.json.Decoder(_GenerateLine).decode


class _Parts:
    """Objects of one shape, merged in the order in which they come."""

    def __init__(self) -> None:
        self._texts: dict[str, GrowingText] = {}
        self._unknown: dict[str, RepeatedText] = {}
        self._lists: dict[str, list[Raw]] = {}
        self._rest: dict[str, Raw] = {}

    def add(self, fields: Fields, but: frozenset[str]) -> None:
        """The members of one more object, but for these."""
        for key, raw in fields.items():
            if key in but:
                continue
            if key in _TEXTS:
                self._add_text(key, raw)
            elif key in _PLAIN:  # looked at first: each line has these
                self._rest[key] = raw
            elif key in _LISTS:
                self._add_items(key, raw)
            elif key != _MESSAGE:
                self._add_unknown(key, raw)

    def go_on(self, key: str, text: str, thinking: str | UnsetType) -> bool:
        """The text of this key goes on, and the thinking, if both have begun: else it is False."""
        spoken, thought = self._texts.get(key), self._texts.get(_THINKING)
        if spoken is None or (thought is None and thinking is not UNSET):
            return False
        if text:
            spoken.add(text)
        if thinking and thought is not None:
            thought.add(thinking)
        return True

    def merged(self) -> dict[str, object]:
        """All that has been said, with its texts and its lists put together."""
        rest = {key: sound(raw) for key, raw in self._rest.items()}
        grown = {key: text.raw() for key, text in self._unknown.items() if text.grew}
        texts = {key: text.raw() for key, text in self._texts.items()}
        return {**rest, **grown, **texts, **self._lists}

    def _add_text(self, key: str, raw: Raw) -> None:
        text = self._texts.get(key)
        if text is None:
            text = self._texts[key] = GrowingText()
        text.add(_text(raw))

    def _add_unknown(self, key: str, raw: Raw) -> None:
        kind = first_byte(raw)
        if kind != b"n" or key not in self._rest:
            self._rest[key] = raw
        if kind == b'"' and key in self._unknown:
            self._unknown[key].add(_text(raw))
        elif kind == b'"':
            self._unknown[key] = RepeatedText(_text(raw))

    def _add_items(self, key: str, raw: Raw) -> None:
        items = self._lists.setdefault(key, [])
        if first_byte(raw) == b"[":
            # Each is a copy, lest a small item keeps its whole line in memory.
            items.extend(sound(item) for item in _LIST.decode(raw))


class Fold:
    """Takes the chunks of one chat or generate answer, each a JSON object in Ollama's form."""

    def __init__(self, kind: TaskType) -> None:
        self._kind = kind
        self._answer = _Parts()
        self._message = _Parts()
        self._read_usual: Callable[[bytes], _ChatLine | _GenerateLine]
        if kind is TaskType.CHAT:
            self._read_usual, self._spoken, self._main = _chat_line, self._message, "content"
        else:
            self._read_usual, self._spoken, self._main = _generate_line, self._answer, "response"
        self._last: Fields = {}
        self._held = b""  # the last line, of which nothing but the texts have been added
        self.done = False
        """Whether the chunk with ``done: true`` has come."""

    def add(self, line: bytes) -> bool:
        """Fold one chunk. One that cannot be read adds nothing, and is False. An error that the
        backend states is raised; see `stated_errors`.
        """
        fields = _fields(line)
        if fields is None:
            return line.strip() == b"null"
        self._settle()
        if states_error(fields):
            raise stated(line.strip(), line)
        self._merge(fields)
        self.done = bytes(fields.get("done", b"")) == b"true" or _RENDERED in fields
        return True

    def add_usual(self, line: bytes) -> bool:
        """Fold a line as nearly all are, if it is one: its texts go on with what earlier lines have
        begun. Of its other members the last word holds, and so only the last line is read for them.
        """
        try:
            known = self._read_usual(line)
        except NOT_READ:
            return False
        said = known.said
        if known.done or not self._spoken.go_on(self._main, said.text, said.thinking):
            return False
        self._held = line
        return True

    def completed(self) -> Completed:
        """The whole answer. BackendFailure if the stream ended before ``done: true``."""
        if not self.done:
            raise BackendFailure("the stream ended before done")
        merged = self._answer.merged()
        if self._kind is TaskType.CHAT or _MESSAGE in self._last:
            merged[_MESSAGE] = self._message.merged()
        # In the order of the last chunk, and then what only earlier ones said.
        kept = {key: merged[key] for key in self._last if key in merged} | merged
        return Completed(write(kept), usage_in(self._last), ollama_timings(self._last))

    def _settle(self) -> None:
        """Add the members of the line that is held, without its texts."""
        held, self._held = self._held, b""
        if held:
            self._merge(_fields(held) or {}, but=_TEXTS)

    def _merge(self, fields: Fields, but: frozenset[str] = frozenset()) -> None:
        message = fields.get(_MESSAGE)
        if message is not None:
            self._message.add(_fields(message) or {}, but)
        self._answer.add(fields, but)
        self._last = fields


class FoldedLines(PassedFrames):
    """Ollama's NDJSON as it comes in: each line is folded, and passed on as it came."""

    def __init__(
        self, kind: TaskType, emit: EmitFrame, limit: int = MAX_ANSWER, scrub: Scrub = bytes
    ) -> None:
        self._fold = Fold(kind)
        super().__init__(End.LINE, self._fold, emit, limit, scrub)

    def _add(self, frame: bytes) -> Found:
        return Found.PART if frame.strip() and self._fold.add(frame) else Found.FOREIGN

    def _add_usual(self, frame: bytes) -> bool:
        return self._fold.add_usual(frame)

    def _add_document(self, document: bytes) -> bool:
        return self._fold.add(document)

    def _scrubbed_part(self, frame: bytes) -> bytes:
        return frame

    def _is_framed(self, frame: bytes) -> bool:
        return read_object(frame) is not None


def chunks_only(emit: EmitFrame) -> EmitFrame:
    """An `emit` for the lines of a task that is no call: what is passed on is a chunk of the answer
    that everybody can read. What is none is left out.
    """

    def pass_on(line: bytes) -> None:
        chunk = line if _is_chunk(line) else write(read_object(line) or {})
        if _is_chunk(chunk) and chunk != b"{}":
            emit(chunk)

    return pass_on


def _is_chunk(line: bytes) -> bool:
    try:
        piece_of(line)
    except NOT_READ:
        return False
    return True


def embedded(body: bytes) -> Completed:
    """The answer to an embed call. BackendFailure if it is not one; an error that it states is
    raised.
    """
    check_stated(body)
    answer = decode_answer(_OBJECT.decode, body)
    if first_byte(answer.get("embeddings", Raw(b"null"))) != b"[":
        raise BackendFailure(f"the backend sent something that is no embedding: {quoted(body)}")
    return Completed(body, usage_in(answer), ollama_timings(answer))


def usage_in(fields: Mapping[str, Any]) -> Usage | None:
    """The counts in a whole answer, or in the last line of one; None if it has neither."""
    counts = [read(fields[key]) if key in fields else None for key in _COUNTS]
    if counts == [None, None]:
        return None
    return Usage(count(counts[0]), count(counts[1]))


def ollama_answer(body: bytes) -> Completed:
    """A whole answer of Ollama's form, with the counts and the times that can be read in it."""
    fields = _fields(body) or {}
    return Completed(body, usage_in(fields), ollama_timings(fields))


def _fields(line: bytes | Raw) -> Fields | None:
    """The members of an object, each as it was sent if that is JSON; None if it is no object."""
    try:
        str(line, "utf-8")  # the members are not read yet, and what is kept must be readable
        return _OBJECT.decode(line)
    except NOT_READ:
        said = read_object(line)
    return None if said is None else {key: Raw(with_halves(value)) for key, value in said.items()}


def _text(raw: Raw) -> str:
    try:
        return _TEXT.decode(raw)
    except NOT_READ:
        said = read(raw)
    return said if isinstance(said, str) else ""

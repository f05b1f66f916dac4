"""Reads an answer of chat completions, streamed or whole, into bits.

https://platform.openai.com/docs/api-reference/chat/streaming. Servers differ: thoughts come as
`reasoning_content` or `reasoning`, content may be a list of parts (Mistral), calls that are made at
once may all have the index 0, and some repeat the id and the name of a call in each chunk. Of
several choices the first is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from oq.dialects.answer_errors import quoted, states_error
from oq.dialects.answer_limit import AnswerLimit
from oq.dialects.framing import End, Frames
from oq.dialects.marked_fold import DONE
from oq.dialects.openai import OPENAI
from oq.dialects.reading import count, read_object
from oq.dialects.stated_errors import stated
from oq.dialects.tool_parts import ToolParts
from oq.dialects.translate.bits import Bit, Counts, Finish, Kind
from oq.dialects.translate.chat_request import Json
from oq.words.errors import BackendFailure

_SPACES = bytes.maketrans(b"\r\n", b"  ")
_ERROR_FIELD = b"error:"
"""Older versions of llama.cpp send errors in this field."""
_WITHOUT_DATA = (b":", b"event:", b"id:", b"retry:", b"data:")
_OBJECT = msgspec.json.Decoder(Json)


class ChatAnswer:
    """See `oq.dialects.translate.bits.Reader`."""

    def __init__(self, limit: int) -> None:
        self._frames = Frames(End.EVENT)
        self._limit = AnswerLimit(limit)
        self._is_document: bool | None = None
        self._said = 0  # chunks that say something
        self._parts = ToolParts()
        self._named: set[int] = set()
        """The calls whose first bit has been given."""
        self.finish: Finish | None = None
        self.counts: Counts | None = None
        self.done = False

    def feed(self, data: bytes) -> list[Bit]:
        """See `Reader`."""
        if self._is_document is None and data.strip():
            self._is_document = data.lstrip().startswith(b"{")
        if self._is_document:  # in JSON that may be whole, a blank line ends nothing
            data = data.translate(_SPACES)
        return [bit for frame in self._frames.feed(data) for bit in self._take(frame)]

    def end(self) -> list[Bit]:
        """See `Reader`."""
        bits = [] if self.done else self._take(self._frames.rest())
        if self.finish is None and not (self.done and self._said):
            why = "says nothing, and does not say why" if self.done else "ended before it was done"
            raise BackendFailure(f"the backend's answer {why}")
        self.finish = self.finish or Finish()
        if self.counts is None and not self._is_document:
            self.counts = Counts(0, self._said)  # as usual, a chunk is a token
        return bits

    def _take(self, frame: bytes) -> list[Bit]:
        if self.done or not frame.strip():
            return []
        self._limit.take(frame)
        data = OPENAI.document(frame)
        begin = frame.lstrip()
        if not data and begin.startswith(_ERROR_FIELD):
            data = b'{"error":%b}' % begin.removeprefix(_ERROR_FIELD)
        if not data and not begin.startswith(_WITHOUT_DATA):
            raise BackendFailure(f"the backend sent something that is no event: {quoted(frame)}")
        if data.strip() == DONE:
            self.done = True
        return [] if self.done or data.strip() in (b"", b"null") else self._read(data)

    def _read(self, data: bytes) -> list[Bit]:
        said = read_object(data)
        if said is None:
            raise BackendFailure(f"the backend sent something that is no answer: {quoted(data)}")
        if states_error(said):
            raise stated(data, data)
        if isinstance(said.get("usage"), dict):
            self.counts = _counts(said["usage"])
        choices = said.get("choices")
        if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
            return []
        return self._choice(next((c for c in choices if _is_first(c)), {}))

    def _choice(self, choice: Json) -> list[Bit]:
        whole = choice.get("message")
        said = whole if isinstance(whole, dict) else choice.get("delta")
        bits = self._message(said) if isinstance(said, dict) else []
        self._said += bool(bits)
        reason, stopped = choice.get("finish_reason"), choice.get("stop_reason")
        if isinstance(reason, str) and reason:
            self.finish = Finish(reason, stopped if isinstance(stopped, str) else None)
        self.done = self.done or isinstance(whole, dict)
        return bits

    def _message(self, said: Json) -> list[Bit]:
        bits = []
        thought = said.get("reasoning_content") or said.get("reasoning")
        if isinstance(thought, str) and thought:
            bits.append(Bit(Kind.THOUGHT, thought))
        bits += _content(said.get("content"))
        if isinstance(refusal := said.get("refusal"), str) and refusal:
            bits.append(Bit(Kind.REFUSAL, refusal))
        if isinstance(calls := said.get("tool_calls"), list):
            bits += self._called(calls)
        return bits

    def _called(self, parts: list[Any]) -> Iterator[Bit]:
        for place, part in self._parts.tell(parts):
            call, text = self._parts.calls[place], _arguments(part.arguments)
            if place in self._named:
                if text:
                    yield Bit(Kind.CALL, text, place)
            elif call.name:  # nobody could be asked for one without
                self._named.add(place)
                yield Bit(Kind.CALL, text, place, call.id, call.name)


def _is_first(choice: Any) -> bool:
    return isinstance(choice, dict) and choice.get("index", 0) in (0, None)


def _arguments(value: Any) -> str:
    """Arguments are a text; some servers send the object itself."""
    if value is None or isinstance(value, str):
        return value or ""
    return msgspec.json.encode(value).decode()


def _content(content: Any) -> list[Bit]:
    if isinstance(content, str):
        return [Bit(Kind.TEXT, content)] if content else []
    bits = []
    for part in content if isinstance(content, list) else ():
        match part:
            case {"text": str(text)} if text:
                bits.append(Bit(Kind.TEXT, text))
            case {"thinking": str(text)} if text:
                bits.append(Bit(Kind.THOUGHT, text))
            case {"thinking": [*parts]}:
                bits += [Bit(Kind.THOUGHT, bit.text) for bit in _content(parts)]
    return bits


def _counts(usage: Json) -> Counts:
    prompt, completion = usage.get("prompt_tokens_details"), usage.get("completion_tokens_details")
    return Counts(
        count(usage.get("prompt_tokens")),
        count(usage.get("completion_tokens")),
        count(prompt.get("cached_tokens")) if isinstance(prompt, dict) else 0,
        count(completion.get("reasoning_tokens")) if isinstance(completion, dict) else 0,
    )

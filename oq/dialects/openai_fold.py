"""A stream in OpenAI's form, folded into the one object that the same call gives without streaming.

What a choice says bit by bit (its `delta`, or its `text`) is put together, also in fields that
nobody here knows. Of everything else the last word holds, as the whole answer has it:
https://platform.openai.com/docs/api-reference/chat/streaming
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec
from msgspec import Raw, Struct

from oq.dialects.alike import Alike, alike
from oq.dialects.deltas import MAX_ITEMS, GrowingObject, index_of
from oq.dialects.growing_text import GrowingText
from oq.dialects.marked_fold import MarkedFold
from oq.dialects.reading import Json, count, read_object, write
from oq.dialects.timings import llama_timings
from oq.dialects.tool_calls import ToolCalls
from oq.words.errors import BackendFailure
from oq.words.from_json import NOT_READ
from oq.words.outcome import Completed, Timings
from oq.words.task import Usage

"""The data of the event that ends a stream."""
OLLAMA_FINGERPRINT = "fp_ollama"
"""The `system_fingerprint` of all that Ollama answers in OpenAI's form."""

_BIT_BY_BIT = frozenset({"text", "logprobs"})
_SAYS_NOTHING = frozenset({"role", "type", "id"})
"""Fields of a delta that are there before anything is generated."""


class _Counted(Struct):
    usage: Any = None
    timings: Any = None


_COUNTED = msgspec.json.Decoder(_Counted)


class OpenAIFold(MarkedFold):
    """Takes the events of one stream; see `oq.dialects.events.EventFold`. `on_choice` is called
    with what each event says of the first choice, once that is folded.
    """

    def __init__(self, on_choice: Callable[[Json], None] | None = None) -> None:
        super().__init__()
        self._on_choice = on_choice
        self._answer: Json = {}
        self._choices: dict[int, _Choice] = {}
        self._chunks = 0  # that say something
        self._growth: _Growth | None = None  # all that the last event has added
        self._alike: Alike | None = None  # events that add to the same text

    def add(self, data: bytes, frame: bytes) -> bool:
        """See `EventFold`."""
        self._growth = None
        known = super().add(data, frame)
        growth = self._growth
        self._alike = None if growth is None else alike(frame, growth.key)
        return known

    def add_usual(self, frame: bytes) -> bool:
        """See `EventFold`."""
        if self._alike is None or self._growth is None:
            return False
        text = self._alike.text_in(frame)
        if text is None:
            return False
        if text:
            self._growth.text.add(text)
            self._chunks += 1
        return True

    def _add(self, said: Json) -> None:
        for key, value in said.items():
            if key == "choices":
                self._answer.setdefault(key, [])  # its place among the others
                self._choose(value)
            elif value is not None or key not in self._answer:
                self._answer[key] = value

    @property
    def usage(self) -> Usage | None:
        """What the answer says that it cost; if it does not say, a chunk counts as a token."""
        counted = Usage(0, self._chunks) if self._chunks else None
        return usage_in(self._answer) or counted

    @property
    def timings(self) -> Timings | None:
        """What llama.cpp says of its times."""
        return llama_timings(self._answer.get("timings"))

    def field(self, key: str) -> Any:
        """The last word on a field of the answer that is not a choice's."""
        return self._answer.get(key)

    def check(self) -> None:
        """BackendFailure if the stream ended before its answer was whole, or says nothing."""
        choices = self._choices.values()
        if any(choice.ended for choice in choices):
            return
        if not self.done:
            raise BackendFailure("the stream ended before done")
        if not any(choice.generated for choice in choices):
            raise BackendFailure(
                "the backend generated nothing, and does not say why (no finish_reason)"
            )

    def choices(self) -> list[Json]:
        """The choices, by their index, each as a whole answer has it."""
        # In a whole answer of OpenAI's a tool call has no index. In one of Ollama's it has.
        indexed = self._answer.get("system_fingerprint") == OLLAMA_FINGERPRINT
        by_index = sorted(self._choices.items())
        return [choice.whole(indexed=indexed) for _, choice in by_index]

    def completed(self) -> Completed:
        """See `EventFold`."""
        self.check()
        answer = dict(self._answer)
        if isinstance(answer.get("object"), str):
            answer["object"] = answer["object"].removesuffix(".chunk")
        answer["choices"] = self.choices()
        return Completed(write(answer), self.usage, self.timings)

    def _choose(self, choices: Any) -> None:
        """Take in what the choices of an event say."""
        said_something = False
        for position, said in enumerate(choices if isinstance(choices, list) else ()):
            if not isinstance(said, dict):
                continue
            index = index_of(said.get("index"))
            index = position if index is None else index
            choice = self._choices.get(index)
            if choice is None:
                if len(self._choices) >= MAX_ITEMS:
                    continue
                choice = self._choices[index] = _Choice()
            said_something = choice.add(said) or said_something
            if index == 0 and self._on_choice is not None:
                self._on_choice(said)
            if len(choices) == 1 and self._on_choice is None:
                self._growth = choice.growth(said)
        self._chunks += said_something


class _Growth(NamedTuple):
    """A text that grows, and the name of the member that it is."""

    key: str
    text: GrowingText


class _Choice:
    """One of the answers that were asked for."""

    __slots__ = ("_calls", "_fields", "_grown", "_message", "generated")

    def __init__(self) -> None:
        self._fields: Json = {}
        self._grown = GrowingObject()
        self._message = GrowingObject()
        self._calls = ToolCalls()
        self.generated = False  # whether it says anything

    @property
    def ended(self) -> bool:
        """Whether it says why it ended, or came whole."""
        return bool(self._fields.get("finish_reason")) or bool(self._fields.get("message"))

    def add(self, said: Json) -> bool:
        """The next part of it. Whether anything is generated in it."""
        generated = False
        for key, value in said.items():
            if key == "delta":
                self._fields.setdefault(key, None)  # its place among the others
                generated = self._add_delta(value) or generated
            elif key in _BIT_BY_BIT:
                self._fields.setdefault(key, None)
                self._grown.add({key: value})
                generated = generated or (key == "text" and _says(value))
            elif value is not None or key not in self._fields:
                self._fields[key] = value
        self.generated = self.generated or generated
        return generated

    def growth(self, said: Json) -> _Growth | None:
        """The text that this part of it has added to, if the same part with another text would add
        to nothing else.
        """
        delta = said.get("delta")
        bits = {**(delta if isinstance(delta, dict) else {}), **_of_choice(said)}
        odd = any(not isinstance(bits.get(key, ""), str | None) for key in _SAYS_NOTHING)
        grown = [key for key, value in bits.items() if value and key not in _SAYS_NOTHING]
        if odd or len(grown) != 1 or not isinstance(bits[grown[0]], str):
            return None
        key = grown[0]
        text = (self._grown if key in _BIT_BY_BIT else self._message).get(key)
        return _Growth(key, text) if isinstance(text, GrowingText) else None

    def whole(self, *, indexed: bool) -> Json:
        """The choice with its message, which has a role and a content, be it null."""
        fields = self._fields | self._grown.whole()
        if "delta" in fields and not fields.get("message"):
            fields["message"] = self._whole_message(indexed=indexed)
        order = ["message" if key == "delta" else key for key in fields]
        return {key: fields[key] for key in order}

    def _whole_message(self, *, indexed: bool) -> Json:
        message: Json = {"role": "assistant", "content": None} | self._message.whole()
        if self._calls:
            message["tool_calls"] = self._calls.whole(indexed=indexed)
        return message

    def _add_delta(self, delta: Any) -> bool:
        if not isinstance(delta, dict):
            return False
        calls = delta.get("tool_calls")
        if isinstance(calls, list):
            self._calls.add(calls)
        self._message.add({key: each for key, each in delta.items() if key != "tool_calls"})
        return any(_says(value) for key, value in delta.items() if key not in _SAYS_NOTHING)


def _of_choice(said: Json) -> Json:
    """What a choice says bit by bit itself, and not in its delta."""
    return {key: value for key, value in said.items() if key in _BIT_BY_BIT}


def _says(value: Any) -> bool:
    return isinstance(value, (str, list, dict)) and bool(value)


def said_in(choice: Json) -> tuple[str, str]:
    """The text and the thinking in what an event, or a whole answer, says of a choice."""
    message = choice.get("delta") or choice.get("message")
    if not isinstance(message, dict):
        return _text(choice.get("text")), ""
    text, thinking = _of_content(message.get("content"))
    thinking += _text(message.get("reasoning_content")) or _text(message.get("reasoning"))
    return text or _text(choice.get("text")), thinking


def _of_content(content: Any) -> tuple[str, str]:
    """The text and the thinking in a content, which may be a list of parts."""
    if not isinstance(content, list):
        return _text(content), ""
    parts = [part for part in content if isinstance(part, dict)]
    texts = [_text(part.get("text")) for part in parts]
    thoughts = [_of_thinking(part.get("thinking")) for part in parts]
    return "".join(texts), "".join(thoughts)


def _of_thinking(thinking: Any) -> str:
    return _of_content(thinking)[0] if isinstance(thinking, list) else _text(thinking)


def _text(value: Any) -> str:
    """A text, be it one that is JSON still; nothing of what is no text."""
    if isinstance(value, Raw):
        value = msgspec.json.decode(value)
    return value if isinstance(value, str) else ""


def usage_in(answer: Mapping[str, Any]) -> Usage | None:
    """The counts in an answer of OpenAI's form: its `usage`, or the `timings` that llama.cpp gives
    to who does not ask for usage. None if it has neither.
    """
    match answer:
        case {"usage": {"prompt_tokens": _} | {"completion_tokens": _} as said}:
            return Usage(count(said.get("prompt_tokens")), count(said.get("completion_tokens")))
        case {"timings": {"prompt_n": read, "predicted_n": generated} as said}:
            return Usage(count(read) + count(said.get("cache_n")), count(generated))
        case _:
            return None


def openai_answer(body: bytes) -> Completed:
    """A whole answer of OpenAI's form, with the counts and the times that can be read in it."""
    try:
        said = _COUNTED.decode(body)
        fields: Json = {"usage": said.usage, "timings": said.timings}
    except NOT_READ:
        fields = read_object(body) or {}
    return Completed(body, usage_in(fields), llama_timings(fields.get("timings")))

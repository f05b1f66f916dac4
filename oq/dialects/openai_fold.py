"""A stream in OpenAI's form, folded into the one object that the same call gives without streaming.

What a choice says bit by bit (its `delta`, or its `text`) is put together, also in fields that
nobody here knows: texts grow, lists go on by the `index` of their items. Of everything else the
last word holds, as the whole answer has it:
https://platform.openai.com/docs/api-reference/chat/streaming
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
from msgspec import Struct

from oq.dialects.answer_errors import decode_answer, error_text, states_error
from oq.dialects.growing_text import GrowingText
from oq.words.errors import BackendFailure
from oq.words.outcome import Completed
from oq.words.task import Usage

Json = dict[str, Any]

DONE = b"[DONE]"
"""The data of the event that ends a stream."""
OLLAMA_FINGERPRINT = "fp_ollama"
"""The `system_fingerprint` of all that Ollama answers in OpenAI's form."""
MAX_INDEX = 4096
"""Items of one list that may be named by their index."""

_OBJECT = msgspec.json.Decoder(Json)
_BIT_BY_BIT = frozenset({"delta", "text", "logprobs"})
_AT_ONCE = frozenset({"id", "role", "type"})
"""Texts of a delta that are whole when they come; some servers repeat them in each chunk."""


class _Counts(Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Counted(Struct):
    usage: _Counts | None = None


_COUNTED = msgspec.json.Decoder(_Counted)


class OpenAIFold:
    """Takes the events of one stream; see `oq.dialects.events.EventFold`."""

    def __init__(self) -> None:
        self._answer: Json = {}
        self.done = False
        """Whether [DONE] has come."""

    def add(self, data: bytes, frame: bytes) -> None:
        """Fold one event. BackendFailure if it is an error, or nothing that such a server sends."""
        if data == DONE:
            self.done = True
            return
        said = decode_answer(_OBJECT.decode, data)
        if states_error(said):
            text = f"the backend broke off with an error: {error_text(data)}"
            raise BackendFailure(text, body=frame)
        choices = said.pop("choices", None)
        self._answer.setdefault("choices", _Items())  # its place among the others
        _put(self._answer, said)
        with _bounded_depth():
            for choice in choices if isinstance(choices, list) else ():
                self._choose(choice)

    def completed(self) -> Completed:
        """The whole answer. BackendFailure if the stream ended before it was whole."""
        with _bounded_depth():
            return self._completed()

    def _completed(self) -> Completed:
        choices = self._answer.get("choices", [])
        if not self.done and not any(choice.get("finish_reason") for choice in choices):
            raise BackendFailure("the stream ended before done")
        answer = dict(self._answer)
        if isinstance(answer.get("object"), str):
            answer["object"] = answer["object"].removesuffix(".chunk")
        answer["choices"] = [self._whole(choice) for choice in choices]
        result = msgspec.json.encode(answer)
        return Completed(result, openai_usage(result))

    def _choose(self, said: Any) -> None:
        """Take in what one choice of an event says."""
        if not isinstance(said, dict):
            raise BackendFailure("the backend sent a choice that is no object")
        choice = _item(self._answer["choices"], said)
        for key, value in said.items():
            (_grow if key in _BIT_BY_BIT else _put)(choice, {key: value})

    def _whole(self, choice: Json) -> Json:
        whole = {"message" if key == "delta" else key: _joined(v) for key, v in choice.items()}
        message = whole.get("message")
        calls = message.get("tool_calls") if isinstance(message, dict) else None
        # In a whole answer of OpenAI's a tool call has no index. In one of Ollama's it has.
        by_ollama = self._answer.get("system_fingerprint") == OLLAMA_FINGERPRINT
        if not by_ollama and isinstance(calls, list):
            for call in calls:
                call.pop("index", None)
        return whole


def openai_usage(answer: bytes) -> Usage | None:
    """The counts in a whole answer of OpenAI's form."""
    counts = decode_answer(_COUNTED.decode, answer).usage
    if counts is None:
        return None
    return Usage(counts.prompt_tokens or 0, counts.completion_tokens or 0)


class _Items(list[Any]):
    """A list that is still growing. `places` has its objects by their index; the first one without
    is at 0.
    """

    def __init__(self) -> None:
        super().__init__()
        self.places: dict[object, Json] = {}

    def append(self, item: Any) -> None:
        super().append(item)
        if isinstance(item, dict):
            self.places.setdefault(item.get("index", 0), item)


@contextmanager
def _bounded_depth() -> Iterator[None]:
    """What is nested deeper than Python goes is a BackendFailure."""
    try:
        yield
    except RecursionError:
        raise BackendFailure("the backend sent something that is nested too deeply") from None


def _put(into: Json, said: Json) -> None:
    """The last word that is one holds."""
    for key, value in said.items():
        if value is not None or key not in into:
            into[key] = value


def _grow(into: Json, said: Json) -> None:
    """Put what is said to what has been said before."""
    for key, value in said.items():
        before = into.get(key)
        match value:
            case str() if key not in _AT_ONCE:
                if not isinstance(before, GrowingText):
                    before = into[key] = GrowingText()
                before.add(value)
            case dict():
                if not isinstance(before, dict):
                    before = into[key] = {}
                _grow(before, value)
            case list():
                if not isinstance(before, _Items):
                    before = into[key] = _Items()
                _extend(before, value)
            case _:
                _put(into, {key: value})


def _extend(into: _Items, said: list[Any]) -> None:
    for item in said:
        if isinstance(item, dict) and "index" in item:
            _grow(_item(into, item), item)
        else:
            into.append(item)


def _item(items: _Items, said: Json) -> Json:
    """The item that this one goes on with: that of its index, which may be a new one."""
    index = said.get("index", 0)
    if isinstance(index, (dict, list)):
        raise BackendFailure("the backend sent an index that is no number")
    if index in items.places:
        return items.places[index]
    if len(items) >= MAX_INDEX:
        raise BackendFailure(f"the answer has a list of more than {MAX_INDEX} items")
    new: Json = {"index": index} if "index" in said else {}
    items.append(new)
    return new


def _joined(value: Any) -> Any:
    """The value with its texts put together."""
    match value:
        case GrowingText():
            return value.raw()
        case dict():
            return {key: _joined(each) for key, each in value.items()}
        case list():
            return [_joined(each) for each in value]
        case _:
            return value

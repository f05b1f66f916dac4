"""What a call asks for, between the form that it came in and the one that it is sent in.

Each form of a request is read into a `ChatRequest`, and each form that servers take is written from
one. So every form of callers works with every form of servers, and none knows another. Its messages
and tools are those of chat completions, which have the most of what all of them can say:
https://platform.openai.com/docs/api-reference/chat/create
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from oq.rules.json_decoding import decode
from oq.rules.json_size import count_values
from oq.rules.surrogates import readable
from oq.words.errors import InvalidTask

Json = dict[str, Any]

MAX_NAMED = 24
"""Things left out that are named; of more only the number is said."""
MAX_VALUES = 2_000_000
"""Values in one body: 160 MB, once they are apart."""
THINK = "on"
"""The effort of a call that wants the model to think, and does not say how hard."""

_OBJECT = msgspec.json.Decoder(Json)


class ChatRequest(Struct):
    """One request.

    `effort` is that of thinking: a level by its name, "none", or THINK. `response_format`,
    `tool_choice`, `tools` and `messages` are as chat completions have them. `sampling` has settings
    whose names are the same everywhere, such as temperature. `more` has fields that nobody here
    knows. `left_out` names what the answer is made without, in the caller's words.
    """

    model: str
    messages: list[Json]
    stream: bool = False
    tools: list[Json] = []
    tool_choice: str | Json | None = None
    parallel_tool_calls: bool | None = None
    response_format: Json | None = None
    effort: str | None = None
    max_tokens: int | None = None
    stop: list[str] = []
    sampling: Json = {}
    more: Json = {}
    left_out: list[str] = []

    def leave_out(self, name: str) -> None:
        """The answer is made without this."""
        self.left_out.append(name)


def read_body(body: bytes) -> Json:
    """The object that a body is. InvalidTask if it is none, or too large once it is apart."""
    if count_values(body, unless_over=MAX_VALUES) > MAX_VALUES:
        raise InvalidTask("", f"it has over {MAX_VALUES} values, which oq does not translate")
    return decode(_OBJECT.decode, readable(body))


def names_left_out(names: list[str]) -> tuple[str, ...]:
    """The names for a header: printable ASCII, without the comma that divides them there."""
    plain = [
        "".join(c if " " <= c <= "~" and c != "," else "?" for c in name[:80]) for name in names
    ]
    if len(plain) > MAX_NAMED:
        plain[MAX_NAMED:] = [f"and {len(plain) - MAX_NAMED} more"]
    return tuple(plain)


def text(value: Any, field: str) -> str:
    """The value, if it is a text."""
    if not isinstance(value, str):
        raise InvalidTask(field, f"it must be a text, not {_kind(value)}")
    return value


def objects(value: Any, field: str) -> list[Json]:
    """The value, if it is a list of objects. None is an empty one."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise InvalidTask(field, f"it must be a list, not {_kind(value)}")
    for index, each in enumerate(value):
        if not isinstance(each, dict):
            raise InvalidTask(f"{field}[{index}]", f"it must be an object, not {_kind(each)}")
    return value


def fields(value: Any, field: str) -> Json:
    """The value, if it is an object. None is an empty one."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidTask(field, f"it must be an object, not {_kind(value)}")
    return value


def optional_text(body: Mapping[str, Any], name: str) -> str:
    """A text that may be missing: then it is empty."""
    return "" if body.get(name) is None else text(body[name], name)


def optional_flag(body: Mapping[str, Any], name: str) -> bool | None:
    """True, false, or None if it is missing."""
    value = body.get(name)
    if value is None or isinstance(value, bool):
        return value
    raise InvalidTask(name, f"it must be true or false, not {_kind(value)}")


def optional_count(body: Mapping[str, Any], name: str) -> int | None:
    """A whole number, or None if it is missing."""
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != int(value):
        raise InvalidTask(name, f"it must be a whole number, not {_kind(value)}")
    return int(value)


def untranslatable(field: str, why: str) -> InvalidTask:
    """The error for what would change the meaning of the answer if it were left out."""
    return InvalidTask(field, f"{why}; the backend lacks this API, and oq cannot translate this")


def _kind(value: Any) -> str:
    names = {type(None): "null", bool: "true or false", str: "a text", list: "a list"}
    return names.get(type(value), "an object" if isinstance(value, dict) else "a number")

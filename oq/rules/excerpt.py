"""How what a task asks for begins: a line for lists, and for whoever looks for a word."""

from __future__ import annotations

from itertools import islice
from typing import Any

import msgspec
from msgspec import Raw, Struct

from oq.rules.json_size import count_values
from oq.rules.surrogates import readable
from oq.words.task import TaskType

LENGTH = 200
"""Characters of an excerpt at most."""
_LOOKED_AT = 4 * LENGTH
"""Characters that are looked at for them: white space shrinks."""
_MOST_VALUES = 100_000
"""JSON values in a payload that has an excerpt."""
_MOST_PARTS = 100
"""Messages, or parts of one, that are looked at."""


class _Chat(Struct):
    messages: list[Raw] = []


class _Message(Struct):
    role: str = ""
    content: str | list[Raw] = ""


class _Part(Struct):
    """One of several parts of a message, as OpenAI's clients send them."""

    text: str = ""


class _Generate(Struct):
    prompt: str = ""


class _Embed(Struct):
    input: str | list[Raw] = ""


class _OfAnApi(Struct):
    """What the other types of tasks are about: the field that their API has of these."""

    query: Any = None
    prompt: Any = None
    input: Any = None
    file: Any = None


_decode_chat = msgspec.json.Decoder(_Chat).decode
_decode_message = msgspec.json.Decoder(_Message).decode
_decode_part = msgspec.json.Decoder(_Part).decode
_decode_generate = msgspec.json.Decoder(_Generate).decode
_decode_embed = msgspec.json.Decoder(_Embed).decode
_decode_of_an_api = msgspec.json.Decoder(_OfAnApi).decode
_decode_text = msgspec.json.Decoder(str).decode


def excerpt(kind: TaskType, payload: bytes) -> str:
    """How the prompt, the last user message or the first input of a payload begins, on one line;
    nothing if there is none.
    """
    if count_values(payload, unless_over=_MOST_VALUES) > _MOST_VALUES:
        return ""  # a list is made of many of these, and nobody reads such a text in it
    try:
        text = _text(kind, readable(payload))
    except UnicodeDecodeError:  # a call's body may be of any bytes
        return excerpt(kind, payload.decode("utf-8", "replace").encode())
    except (msgspec.MsgspecError, RecursionError):
        return ""  # it passed through as it was sent: not every shape is known
    return " ".join(text[:_LOOKED_AT].split())[:LENGTH].rstrip()


def _text(kind: TaskType, payload: bytes) -> str:
    match kind:
        case TaskType.CHAT:
            return _last_said(_decode_chat(payload).messages)
        case TaskType.GENERATE:
            return _decode_generate(payload).prompt
        case TaskType.EMBED:
            given = _decode_embed(payload).input
            if isinstance(given, str):
                return given
            return _decode_text(given[0]) if given else ""
        case _:
            return _about(_decode_of_an_api(payload))


def _about(asked: _OfAnApi) -> str:
    """The text that it is about, or the name of the file."""
    for said in (asked.query, asked.prompt, asked.input, asked.file):
        match said[0] if isinstance(said, list) and said else said:
            case str(text) | {"filename": str(text)}:
                return text
    return ""


def _last_said(messages: list[Raw]) -> str:
    """What the user said last; what anybody did when the user said nothing."""
    last = ""
    for raw in islice(reversed(messages), _MOST_PARTS):
        message = _decode_message(raw)
        text = _joined(message.content)
        if text and message.role == "user":
            return text
        last = last or text
    return last


def _joined(content: str | list[Raw]) -> str:
    if isinstance(content, str):
        return content
    return " ".join(_decode_part(part).text for part in content[:_MOST_PARTS])

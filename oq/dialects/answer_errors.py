"""What is wrong with what a backend sent: the error that it states, or that it is no answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec
from msgspec import Raw

from oq.dialects.reading import read
from oq.words.errors import BackendFailure
from oq.words.from_json import NOT_READ

T = TypeVar("T")

MAX_TEXT = 2000
"""Characters that are kept of what a backend says about an error."""
LONGEST_WORD = 300
"""Characters that are left out at most where a text is cut."""
MAX_QUOTED = 200
"""Characters that are quoted of what is no answer."""

_LAST_WORD = re.compile(r"[^\s\"',:;(){}\[\]<>]+\Z")
_OBJECT = msgspec.json.Decoder(dict[str, Raw])
_NOTHING = (b"null", b'""', b"{}", b"[]", b"false")
_OF_ANSWERS = frozenset({"choices", "done", "response", "embedding", "embeddings", "data"})


def error_text(body: bytes) -> str:
    """The text of an error: Ollama's ``{"error": "..."}``, OpenAI's ``{"error": {"message"}}``,
    or whatever was sent, cut to MAX_TEXT characters.
    """
    text = _stated(body)
    if text is None:
        text = body.decode("utf-8", "replace").strip()
    return _cut(text, MAX_TEXT)


def states_error(fields: Mapping[str, Any]) -> bool:
    """Whether an object that came under status 200 is an error and no answer: Ollama and OpenAI say
    `error`, older versions of vLLM that the object is one, and proxies give a `message` or `detail`
    where an answer has its choices. The values may be decoded or not. An error beside choices that
    have ended is a part of an answer.
    """
    if _says(fields.get("error")) or _plain(fields.get("object")) == "error":
        return not _has_ended(fields.get("choices"))
    if fields.keys() & _OF_ANSWERS:
        return False
    return any(isinstance(_plain(fields.get(key)), str) for key in ("message", "detail"))


def _has_ended(choices: object) -> bool:
    """Whether these are choices, one of which says why it ended, and not by an error."""
    if isinstance(choices, Raw):
        try:
            choices = msgspec.json.decode(choices)
        except NOT_READ:
            return False
    if not isinstance(choices, list):
        return False
    reasons = [each.get("finish_reason") for each in choices if isinstance(each, dict)]
    return any(reason not in (None, "", "error") for reason in reasons)


def quoted(data: bytes | Raw) -> str:
    """How something that a backend sent begins, for an error that says what is wrong with it."""
    return repr(
        _cut(bytes(memoryview(data)[: MAX_QUOTED + 1]).decode("utf-8", "replace"), MAX_QUOTED)
    )


def decode_answer(decode: Callable[[bytes | Raw], T], text: bytes | Raw) -> T:
    """Decode what a backend sent; whatever is wrong with it is a BackendFailure that quotes it."""
    try:
        str(text, "utf-8")  # Raw parts pass through unread, and what is stored must be readable
        return decode(text)
    except NOT_READ as error:
        raise BackendFailure(
            f"the backend sent something that is no answer: {quoted(text)} ({error})"
        ) from None


def first_byte(value: Raw) -> bytes:
    """Which kind of value it is."""
    return bytes(memoryview(value)[:1])


def _says(value: object) -> bool:
    """Whether there is anything in it: no null, nothing empty, no false."""
    return bytes(value) not in _NOTHING if isinstance(value, Raw) else bool(value)


def _plain(value: object) -> object:
    """The value itself where it is null or a text; what else there is nobody asks for."""
    if not isinstance(value, Raw):
        return value
    return read(value) if first_byte(value) in (b"n", b'"') else value


def _cut(text: str, most: int) -> str:
    """The text, with an ellipsis if it is longer than `most`. The last word is kept whole or left
    out: the half of a key could not be recognised any more (see `oq.backends.secrets`).
    """
    if len(text) <= most:
        return text
    split = max(0, most - LONGEST_WORD)
    return text[:split] + _LAST_WORD.sub("", text[split:most]) + " …"


def _stated(body: bytes | Raw) -> str | None:
    """What the document itself calls its error; None if it is none that we know."""
    try:
        fields = _OBJECT.decode(body)
        for key in ("error", "message", "detail"):
            if key in fields:
                raw = bytes(fields[key])
                return msgspec.json.decode(raw, type=str) if raw[:1] == b'"' else _inner(raw)
    except NOT_READ:
        return None
    return None


def _inner(raw: bytes) -> str:
    """The text of an error that is an object, as OpenAI's is."""
    return (_stated(raw) if raw[:1] == b"{" else None) or raw.decode("utf-8", "replace")

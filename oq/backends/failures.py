"""What a backend's HTTP answer means for the task that asked: which error, with which text.

Worth a retry: 408, 429 and 5xx, with the wait that Retry-After asks for. Final: every other 4xx,
and a redirect and 508 (it leads back to oq), since the address is then wrong. Status codes and
Retry-After: RFC 9110.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from oq.words.errors import BackendError, BackendFailure, BackendRejected

MAX_TEXT = 2000
"""Characters that are kept of what a backend says about an error."""
LONGEST_WORD = 300
"""Characters that are left out at most where a text is cut."""
MAX_QUOTED = 200
"""Characters that are quoted of what is no answer."""
MAX_RETRY_AFTER = 86_400.0
"""Seconds. A backend that asks for more is taken to mean a day."""

_SECONDS = re.compile(r"\d{1,9}(\.\d{1,9})?")
_LAST_WORD = re.compile(r"[^\s\"',:;(){}\[\]<>]+\Z")
_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_OF_ANSWERS = frozenset({"choices", "done", "response", "embedding", "embeddings", "data"})
_RETRYABLE = frozenset({408, 429})
_LOOP = 508


def status_error(
    status: int, body: bytes, *, retry_after: str | None = None, now: datetime
) -> BackendError:
    """The error for an answer with this status; `retry_after` is the header as it came."""
    message = f"the backend answered {status}: {error_text(body) or 'without a word'}"
    if status in _RETRYABLE or (status >= 500 and status != _LOOP):
        return BackendFailure(
            message, status=status, body=body, retry_after=parse_retry_after(retry_after, now)
        )
    if status < 400:  # the backend's word to oq: a caller could not make anything of it
        return BackendRejected(message, status=status)
    return BackendRejected(message, status=status, body=body)


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
    where an answer has its choices. The values may be decoded or not.
    """
    if _plain(fields.get("error")) is not None or _plain(fields.get("object")) == "error":
        return True
    if fields.keys() & _OF_ANSWERS:
        return False
    return any(isinstance(_plain(fields.get(key)), str) for key in ("message", "detail"))


def quoted(data: bytes | msgspec.Raw) -> str:
    """How something that a backend sent begins, for an error that says what is wrong with it."""
    return repr(
        _cut(bytes(memoryview(data)[: MAX_QUOTED + 1]).decode("utf-8", "replace"), MAX_QUOTED)
    )


def parse_retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds to wait, from a number of seconds or an HTTP date; None if it says neither."""
    if value is None:
        return None
    value = value.strip()
    if _SECONDS.fullmatch(value):
        return min(float(value), MAX_RETRY_AFTER)
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return None
    if when.tzinfo is None:  # "-0000" says UTC without saying where
        when = when.replace(tzinfo=UTC)
    return min(max(0.0, (when - now).total_seconds()), MAX_RETRY_AFTER)


def first_byte(value: msgspec.Raw) -> bytes:
    """Which kind of value it is."""
    return bytes(memoryview(value)[:1])


def _plain(value: object) -> object:
    """The value itself where it is null or a text; what else there is nobody asks for."""
    if not isinstance(value, msgspec.Raw):
        return value
    return msgspec.json.decode(value) if first_byte(value) in (b"n", b'"') else value


def _cut(text: str, most: int) -> str:
    """The text, with an ellipsis if it is longer than `most`. The last word is kept whole or left
    out: the half of a key could not be recognised any more (see `oq.backends.secrets`).
    """
    if len(text) <= most:
        return text
    split = max(0, most - LONGEST_WORD)
    return text[:split] + _LAST_WORD.sub("", text[split:most]) + " …"


def _stated(body: bytes | msgspec.Raw) -> str | None:
    """What the document itself calls its error; None if it is none that we know."""
    try:
        fields = _OBJECT.decode(body)
        for key in ("error", "message", "detail"):
            if key in fields:
                raw = bytes(fields[key])
                return msgspec.json.decode(raw, type=str) if raw[:1] == b'"' else _inner(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return None


def _inner(raw: bytes) -> str:
    """The text of an error that is an object, as OpenAI's is."""
    return (_stated(raw) if raw[:1] == b"{" else None) or raw.decode("utf-8", "replace")

"""What a backend's HTTP answer means for the task that asked: which error, with which text.

Worth a retry: 408, 429 and 5xx, with the wait that Retry-After asks for. Final: every other 4xx,
and a redirect, since the address is then wrong. Status codes and Retry-After: RFC 9110.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import msgspec

from oq.words.errors import BackendError, BackendFailure, BackendRejected

MAX_TEXT = 2000
"""Characters that are kept of what a backend says about an error."""
MAX_RETRY_AFTER = 86_400.0
"""Seconds. A backend that asks for more is taken to mean a day."""

_SECONDS = re.compile(r"\d{1,9}(\.\d{1,9})?")
_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_RETRYABLE = frozenset({408, 429})


def status_error(
    status: int, body: bytes, *, retry_after: str | None = None, now: datetime
) -> BackendError:
    """The error for an answer with this status; `retry_after` is the header as it came."""
    message = f"the backend answered {status}: {error_text(body) or 'without a word'}"
    if status in _RETRYABLE or status >= 500:
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
    return text if len(text) <= MAX_TEXT else text[:MAX_TEXT] + " …"


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

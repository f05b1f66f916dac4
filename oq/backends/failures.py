"""What a backend's HTTP answer means for the task that asked: which error, with which text.

Worth a retry: 408, 429 and 5xx, with the wait that Retry-After asks for; some errors only say that
the backend is busy (`oq.backends.busy`). Final: every other 4xx,
501, which says that the server cannot do it, and a redirect and 508 (it leads back to oq), since
the address is then wrong. Status codes and Retry-After: RFC 9110.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from oq.backends.busy import says_busy
from oq.dialects.answer_errors import error_text
from oq.dialects.stated_errors import is_final
from oq.words.errors import BackendBusy, BackendError, BackendFailure, BackendRejected

MAX_RETRY_AFTER = 86_400.0
"""Seconds. A backend that asks for more is taken to mean a day."""

_SECONDS = re.compile(r"\d{1,9}(\.\d{1,9})?")


def status_error(
    status: int, body: bytes, *, retry_after: str | None = None, now: datetime
) -> BackendError:
    """The error for an answer with this status; `retry_after` is the header as it came."""
    message = f"the backend answered {status}: {error_text(body) or 'without a word'}"
    busy = says_busy(status, body)
    if busy or not is_final(status):
        kind = BackendBusy if busy else BackendFailure
        wait = parse_retry_after(retry_after, now)
        return kind(message, status=status, body=body, retry_after=wait)
    if status < 400:  # the backend's word to oq: a caller could not make anything of it
        return BackendRejected(message, status=status)
    return BackendRejected(message, status=status, body=body)


def parse_retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds to wait, from a number of seconds or an HTTP date; None if it says neither."""
    if value is None:
        return None
    value = value.strip()
    if _SECONDS.fullmatch(value):
        return min(float(value), MAX_RETRY_AFTER)
    try:
        when = parsedate_to_datetime(value)
    except (ValueError, OverflowError):  # no such date, or a number that no date can have
        return None
    if when.tzinfo is None:  # "-0000" says UTC without saying where
        when = when.replace(tzinfo=UTC)
    return min(max(0.0, (when - now).total_seconds()), MAX_RETRY_AFTER)

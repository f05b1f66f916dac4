"""Errors that a server states within an answer: which of them a retry may help.

Such an error comes under status 200, and says by a code or a type which status it stands for:
https://docs.anthropic.com/en/api/errors, https://platform.openai.com/docs/guides/error-codes, and
llama.cpp's `format_error_response` in tools/server/server-common.cpp.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from oq.words.errors import BackendError, BackendFailure, BackendRejected

_STATUS = {
    "invalid_request_error": 400,
    "exceed_context_size_error": 400,
    "invalid_prompt": 400,
    "context_length_exceeded": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "insufficient_quota": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "model_not_found": 404,
    "conflict_error": 409,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "api_error": 500,
    "server_error": 500,
    "not_supported_error": 501,
    "unavailable_error": 503,
    "timeout_error": 504,
    "overloaded_error": 529,
}
_WORTH_A_RETRY = frozenset({408, 429})
_FINAL = frozenset({501, 508})


def status_of(error: Mapping[str, Any]) -> int | None:
    """The HTTP status that an error object stands for, by its `code` or its `type`. None: it does
    not say.
    """
    for key in ("code", "type"):
        said = error.get(key)
        if isinstance(said, str):
            said = _STATUS.get(said) or (int(said) if said.isdecimal() and len(said) == 3 else None)
        if isinstance(said, (int, float)) and 400 <= said <= 599:
            return int(said)
    return None


def stated_error(text: str, status: int | None, frame: bytes) -> BackendError:
    """The error for a frame that states one, with this status. Without one it is worth a retry."""
    said = f"the backend broke off with an error: {text}"
    final = status is not None and (status in _FINAL or status < 500)
    if final and status not in _WORTH_A_RETRY:
        return BackendRejected(said, body=frame)
    return BackendFailure(said, body=frame)

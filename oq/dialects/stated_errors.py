"""Errors that a server states within an answer: which status they stand for, and so whether a retry
may help.

Such an error comes under status 200, and says by a code or a type which status it stands for:
https://docs.anthropic.com/en/api/errors, https://platform.openai.com/docs/guides/error-codes, and
llama.cpp's `format_error_response` in tools/server/server-common.cpp.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw

from oq.dialects.answer_errors import error_text, states_error
from oq.dialects.reading import read_object
from oq.words.errors import BackendError, BackendFailure, BackendRejected
from oq.words.from_json import NOT_READ

MAX_STATED = 64 * 1024
"""Bytes that are kept of an error that a backend states, as of the body of any error."""
LONGEST_WORD = 8 * 1024
"""Bytes that are left out at most where such an error is cut."""
UNKNOWN = 500
"""The status of an error that does not say which it stands for."""

_STATUS = {
    "invalid_request_error": 400,
    "exceed_context_size_error": 400,
    "invalid_prompt": 400,
    "context_length_exceeded": 400,
    "badrequesterror": 400,
    "authentication_error": 401,
    "invalid_api_key": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "notfounderror": 404,
    "model_not_found": 404,
    "conflict_error": 409,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "insufficient_quota": 429,
    "too_many_requests": 429,
    "api_error": 500,
    "server_error": 500,
    "internal_server_error": 500,
    "internalservererror": 500,
    "not_supported_error": 501,
    "unavailable_error": 503,
    "service_unavailable_error": 503,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""By `type` or `code`, in small letters."""
_SAYING = ("code", "status", "status_code", "http_code", "type")
_WORTH_A_RETRY = frozenset({408, 429})
_FINAL = frozenset({501, 508})
_OBJECT = msgspec.json.Decoder(dict[str, Raw])
_OF_WORDS = rb"[^\s\"',:;(){}\[\]<>]"
_LAST_WORD = re.compile(b"(?<!%b)%b++\\Z" % (_OF_WORDS, _OF_WORDS))


def is_final(status: int) -> bool:
    """Whether a request that was answered with this status would be answered so again. Final are
    4xx but for 408 and 429, 501 (the server cannot do that), and 508 (it leads back to oq).
    """
    return status in _FINAL or (status < 500 and status not in _WORTH_A_RETRY)


def status_of(error: Mapping[str, Any]) -> int | None:
    """The HTTP status that an error object stands for, by its code or its type. None: it does not
    say.
    """
    for key in _SAYING:
        said = error.get(key)
        if isinstance(said, str):
            said = int(said) if said.isdecimal() and len(said) == 3 else _STATUS.get(said.lower())
        if isinstance(said, (int, float)) and 400 <= said <= 599:
            return int(said)
    return None


def stated_error(
    text: str, status: int | None, frame: bytes, body: bytes | None = None
) -> BackendError:
    """The error for a frame that states one, with this status. Without one it is worth a retry.
    `body` is its document; without one, the frame is.
    """
    said = f"the backend broke off with an error: {text}"
    status = status or UNKNOWN
    kind = BackendRejected if is_final(status) else BackendFailure
    error = kind(said, status=status, body=_cut(frame if body is None else body))
    error.frame = frame if len(frame) <= MAX_STATED else None
    return error


def failed_answer(body: bytes, error: object) -> BackendError:
    """The error for a whole answer that says itself, with this error, that it has failed. Its
    caller gets the answer as it came.
    """
    said = error if isinstance(error, dict) else {}
    text = error_text(msgspec.json.encode({"error": said})) if said else "it does not say why"
    status = status_of(said) or UNKNOWN
    kind = BackendRejected if is_final(status) else BackendFailure
    failed = kind(f"the answer failed: {text}", status=status, body=body)
    failed.as_it_came = True
    return failed


def _cut(body: bytes) -> bytes:
    """MAX_STATED bytes of it. The last word is kept whole or left out, as in `answer_errors`."""
    if len(body) <= MAX_STATED:
        return body
    split = MAX_STATED - LONGEST_WORD
    return body[:split] + _LAST_WORD.sub(b"", body[split:MAX_STATED])


def stated(document: bytes, frame: bytes) -> BackendError:
    """The error that this document states, which came in this frame of a stream."""
    said = read_object(document) or {}
    inner = said.get("error")
    status = status_of(inner) if isinstance(inner, dict) else None
    return stated_error(error_text(document), status or status_of(said), frame, document)


def check_stated(body: bytes) -> None:
    """Raise the error that an answer is, which came whole under a status of success: so answer some
    servers, and proxies.
    """
    try:
        said: Mapping[str, Any] = _OBJECT.decode(body)
    except NOT_READ:
        said = read_object(body) or {}
    if states_error(said):
        error = stated(body, body)
        error.frame = None  # it is no part of a stream
        raise error

"""Every error as an answer: a status, and ``{"error": "..."}``."""

from __future__ import annotations

from math import ceil
from secrets import token_hex

import structlog
from quart import Quart, has_request_context, request
from quart_trio.wrappers import TrioResponse as Response
from werkzeug import exceptions as refused

from oq.http.answers import ErrorAnswer, answer
from oq.words.errors import (
    Conflict,
    InvalidTask,
    NotFound,
    OqError,
    PayloadTooLarge,
    QueueFull,
    StoreError,
    Unavailable,
)

log = structlog.get_logger()

STATUS: dict[type[OqError], int] = {
    InvalidTask: 400,
    NotFound: 404,
    Conflict: 409,
    PayloadTooLarge: 413,
    QueueFull: 429,
    Unavailable: 503,
    StoreError: 503,  # it cannot be written just now; reads go on
}
RETRY_UNAVAILABLE = 5  # seconds: about what a restart takes


def install(app: Quart, max_body: int) -> None:
    """Let `app` answer each error as this module says. `max_body` is the limit of a body."""

    async def oq_error(error: OqError) -> Response:
        return from_oq(error)

    async def http_error(error: refused.HTTPException) -> Response:
        if isinstance(error, refused.RequestEntityTooLarge):
            return from_oq(PayloadTooLarge(max_body))
        return _from_http(error)

    async def bug(error: Exception) -> Response:
        return _from_bug(error)

    app.register_error_handler(OqError, oq_error)
    app.register_error_handler(refused.HTTPException, http_error)
    app.register_error_handler(Exception, bug)


def status_of(error: OqError) -> int:
    """The HTTP status of an error of oq's tree."""
    for kind in type(error).__mro__:
        if kind in STATUS:
            return STATUS[kind]
    return 500


def from_oq(error: OqError) -> Response:
    """The answer that carries one of oq's own errors."""
    status = status_of(error)
    if status == 500:
        return _from_bug(error)
    headers = {}
    if isinstance(error, QueueFull):
        headers["Retry-After"] = str(max(1, ceil(error.retry_after)))
    elif status == 503:
        headers["Retry-After"] = str(RETRY_UNAVAILABLE)
    return answer(ErrorAnswer(str(error)), status, headers)


def _from_http(error: refused.HTTPException) -> Response:
    """What Quart itself refuses, in our form and with its own headers (`Allow`)."""
    headers = {
        name: value
        for name, value in error.get_headers()
        if name.lower() not in ("content-type", "content-length")
    }
    return answer(ErrorAnswer(_say(error)), error.code or 500, headers)


def _say(error: refused.HTTPException) -> str:
    path = request.path[:100] if has_request_context() else ""
    if isinstance(error, refused.NotFound):
        return f"there is nothing at {path!r}; /openapi.json lists what there is"
    if isinstance(error, refused.MethodNotAllowed):
        takes = ", ".join(sorted(error.valid_methods or ()))
        return f"{path} does not take {request.method[:20]}; it takes {takes}"
    if isinstance(error, refused.RequestTimeout):
        return "the body did not arrive in time; send the request again"
    return error.description or error.name


def _from_bug(error: Exception) -> Response:
    """The last resort: the log gets all of it, the client a reference to look for there."""
    reference = token_hex(4)
    where = f"{request.method} {request.path}" if has_request_context() else None
    log.error("internal error", reference=reference, request=where, exc_info=error)
    return answer(
        ErrorAnswer(f"internal error; the server's log tells more under {reference}"), 500
    )

"""Every error as an answer: a status, and ``{"error": "..."}``."""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil
from secrets import token_hex
from typing import NamedTuple

import structlog
from quart import Quart, has_request_context, request, websocket
from quart_trio.wrappers import TrioResponse as Response
from werkzeug import exceptions as refused
from werkzeug.routing import WebsocketMismatch

from oq.http.peer import Peer, unread_body_headers
from oq.http.request import Request
from oq.http.responses import ErrorAnswer, json_response, quart_response
from oq.words.errors import (
    BackendError,
    Conflict,
    Forbidden,
    InvalidTask,
    LoopDetected,
    NotFound,
    OqError,
    PayloadTooLarge,
    QueueFull,
    Removed,
    StoreCorrupt,
    StoreError,
    Unavailable,
    WaitTooLong,
)

log = structlog.get_logger()

STATUS: dict[type[OqError], int] = {
    InvalidTask: 400,
    NotFound: 404,
    Removed: 410,
    Forbidden: 403,
    LoopDetected: 508,
    Conflict: 409,
    PayloadTooLarge: 413,
    QueueFull: 429,
    Unavailable: 503,
    StoreError: 503,  # it cannot be written just now; reads go on
    StoreCorrupt: 500,  # it does not pass by itself
    BackendError: 502,  # of what is passed on; a task has its own way to fail
}
RETRY_UNAVAILABLE = 5  # seconds: about what a restart takes


class FeedsFull(Unavailable):
    """As many listen to events as may. Whoever is refused gives the connection back as well: a
    thousand of them would leave none for others.
    """


class Explained(NamedTuple):
    """An error as an answer: its status, what it says, and headers that belong to it."""

    status: int
    text: str
    headers: dict[str, str] = {}  # noqa: RUF012 - nobody changes them


def install(app: Quart) -> None:
    """Let `app` answer each error as this module says."""

    async def handler(error: Exception) -> Response:
        if not has_request_context():
            return respond(error, f"WebSocket {websocket.path}")
        return respond(error, f"{request.method} {request.path}")

    app.register_error_handler(Exception, handler)


def respond(error: Exception, where: str) -> Response:
    """The answer to what was asked by `where` (``"POST /api/tasks"``) and ended in `error`."""
    status, text, headers = explain(error, where)
    return quart_response(ErrorAnswer(text), status, headers)


async def send_error(error: Exception, request: Request, peer: Peer, *, read: bool) -> None:
    """The same answer without Quart. `read`: the body of the request has been read to its end. If a
    response has begun, nothing can be said any more, and the connection ends where that did.
    """
    status, text, headers = explain(error, request.where)
    if peer.begun:
        return
    if not read:
        peer.discard()
        more = unread_body_headers(request)
        headers = {**headers, **{name.decode(): value.decode() for name, value in more}}
    await json_response(ErrorAnswer(text), status, headers).send(peer)


def explain(error: Exception, where: str) -> Explained:
    """What `respond` says, for those who say it in another form."""
    if isinstance(error, StoreCorrupt):
        return _from_damage(error, where)
    if isinstance(error, OqError) and status_of(error) != 500:
        return _from_oq(error)
    if isinstance(error, refused.HTTPException):
        return _from_http(error, where)
    return _from_bug(error, where)


def status_of(error: OqError) -> int:
    """The HTTP status of an error of oq's tree."""
    for kind in type(error).__mro__:
        if kind in STATUS:
            return STATUS[kind]
    return 500


def _from_oq(error: OqError) -> Explained:
    headers = {}
    if isinstance(error, QueueFull | WaitTooLong):
        headers["Retry-After"] = str(max(1, ceil(error.retry_after)))
    elif status_of(error) == 503:
        headers["Retry-After"] = str(RETRY_UNAVAILABLE)
    if isinstance(error, FeedsFull):
        headers["Connection"] = "close"
    return Explained(status_of(error), str(error), headers)


def allowed(methods: Iterable[str]) -> str:
    """The value of an Allow header: the methods in one order, whoever lists them."""
    return ", ".join(sorted(methods))


def _from_http(error: refused.HTTPException, where: str) -> Explained:
    """What Quart itself refuses, in our form and with its own headers (`Allow`)."""
    headers = {
        name: value
        for name, value in error.get_headers()
        if name.lower() not in ("content-type", "content-length")
    }
    if "Allow" in headers:
        headers["Allow"] = allowed(headers["Allow"].split(", "))
    return Explained(error.code or 500, _say(error, where[:120]), headers)


def _say(error: refused.HTTPException, where: str) -> str:
    method, _, path = where.partition(" ")
    if isinstance(error, refused.NotFound):
        return f"there is nothing at {path!r}; /openapi.json lists what there is"
    if isinstance(error, refused.MethodNotAllowed):
        takes = ", ".join(sorted(error.valid_methods or ()))
        return f"{path} does not take {method}; it takes {takes}"
    if isinstance(error, WebsocketMismatch):
        return f"{path} was asked in the wrong way: /ws takes WebSocket, and nothing else does"
    if isinstance(error, refused.RequestTimeout):
        return "the body did not arrive in time; send the request again"
    return error.description or error.name


def _from_damage(error: StoreCorrupt, where: str) -> Explained:
    """What is damaged stays so: nothing to try again for. The log says which record, and how."""
    log.error("record cannot be read", request=where, error=str(error))
    return Explained(status_of(error), "this record cannot be read; see the log")


def _from_bug(error: Exception, where: str) -> Explained:
    """The last resort: the log gets all of it, the client a reference to look for there."""
    reference = token_hex(4)
    log.error("internal error", reference=reference, request=where, exc_info=error)
    return Explained(500, f"internal error; the server's log tells more under {reference}")

"""Answers submits without h11, ASGI and Quart: the fast path.

A single POST of a task spent a third of its time in those layers; one of many at once spent nearly
two thirds. Here the head is read in one step (`oq.http.fast_request`), the handler runs in the
connection's own task, and the response is sent as one piece of bytes. A request that is not simple,
or that the guard refuses, goes through Quart. Both ways use the same handlers and give the same
responses.

Nothing here waits for the connection; `oq.http.connection` does.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import lru_cache
from http.client import responses
from typing import NamedTuple

from oq.http.context import Context
from oq.http.door import Door
from oq.http.errors import explain
from oq.http.fast_request import Head, read_head
from oq.http.guard import secure
from oq.http.request import Request
from oq.http.responses import JSON, ErrorAnswer, JsonResponse, json_response

FastHandler = Callable[[Context, Request], Awaitable[JsonResponse]]


class FastRequest(NamedTuple):
    """A request that the fast path answers, with its head as it was read."""

    head: Head
    request: Request


class FastPath:
    """Answers simple requests. `handlers` are by method and path (``"POST /api/tasks"``); `limit`
    is the largest body, in bytes.
    """

    def __init__(
        self, handlers: Mapping[str, FastHandler], context: Context, door: Door, limit: int
    ) -> None:
        self._handlers = {f"{call} HTTP/1.1".encode(): each for call, each in handlers.items()}
        self._context = context
        self._door = door
        self._limit = limit
        self.inflight = context.inflight

    def take(self, data: bytes, client: tuple[str, int] | None) -> FastRequest | None:
        """The request of `client` that `data` begins with; None if it is not for the fast path."""
        head = read_head(data, self._handlers, self._limit)
        if head is None:
            return None
        method, path, _ = head.line.decode().split(" ")
        scope = {"type": "http", "method": method, "path": path, "client": client}
        request = self._door.enter(scope, head.headers)
        return FastRequest(head, request) if request.verdict.refusal is None else None

    async def answer(self, taken: FastRequest, body: bytes) -> JsonResponse:
        """What the call's handler says, or what went wrong."""
        request = taken.request
        request.body = body
        try:
            return await self._handlers[taken.head.line](self._context, request)
        except Exception as error:
            return self.refuse(taken, error)

    def refuse(self, taken: FastRequest, error: Exception) -> JsonResponse:
        """The answer to a request that ended in this error."""
        status, text, headers = explain(error, taken.request.where)
        return json_response(ErrorAnswer(text), status, headers)


def to_bytes(
    answer: JsonResponse, origin: bytes | None, more: Iterable[tuple[bytes, bytes]]
) -> bytes:
    """The whole answer as it goes over the wire, with `more` headers."""
    own = "".join(f"{name.lower()}: {value}\r\n" for name, value in answer.headers.items())
    return b"HTTP/1.1 %d %b\r\n%bcontent-length: %d\r\n%b%b\r\n%b" % (
        answer.status,
        responses.get(answer.status, "").encode(),
        _fixed(origin),
        len(answer.body),
        own.encode("latin-1"),
        _lines(more),
        answer.body,
    )


@lru_cache(maxsize=256)
def _fixed(origin: bytes | None) -> bytes:
    """The headers of every answer to pages from there."""
    return _lines(secure([(b"content-type", JSON.encode())], origin))


def _lines(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    return b"".join([b"%b: %b\r\n" % pair for pair in headers])

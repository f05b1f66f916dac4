"""The fast lane: plain requests of the calls that must be fast, past h11, ASGI and Quart.

A lone POST of a task spent a third of its time there, and one of many at once nearly two thirds.
In the lane its head is read in one go (`oq.http.plain`), its handler runs in the connection's own
task, and its answer is one piece of bytes. What is not plain, and what the guard refuses, goes the
ordinary way: both give the same answers, from the same handlers.

Nothing here waits for the connection; `oq.http.connection` does.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from oq.http.answers import JSON, ErrorAnswer, PlainAnswer, PlainRequest, plain_answer
from oq.http.errors import explain
from oq.http.face import Face
from oq.http.guard import Guard, secure
from oq.http.plain import Head, read_head

PlainHandler = Callable[[Face, PlainRequest], Awaitable[PlainAnswer]]


class Taken(NamedTuple):
    """A request that the lane answers. `scope` is what ASGI's would say of it, as far as somebody
    looks at it; `origin` is the allowed page of another site that it comes from.
    """

    head: Head
    scope: Any
    origin: bytes | None


class Lane:
    """The calls in it. `handlers` are theirs, by method and path (``"POST /api/tasks"``); `limit`
    is that of a body, in bytes.
    """

    def __init__(
        self, handlers: Mapping[str, PlainHandler], face: Face, guard: Guard, limit: int
    ) -> None:
        self._handlers = {f"{call} HTTP/1.1".encode(): each for call, each in handlers.items()}
        self._face = face
        self._guard = guard
        self._limit = limit
        self.inflight = face.inflight

    def take(self, data: bytes) -> Taken | None:
        """The request that `data` begins with; None if that is not for the lane."""
        head = read_head(data, self._handlers, self._limit)
        if head is None:
            return None
        method, path, _ = head.line.decode().split(" ")
        headers = head.headers.items()
        scope = {"type": "http", "method": method, "path": path, "headers": headers}
        refusal, origin = self._guard.judge(scope)
        return Taken(head, scope, origin) if refusal is None else None

    async def answer(self, taken: Taken, body: bytes) -> PlainAnswer:
        """What the call's handler says, or what went wrong."""
        head = taken.head
        try:
            return await self._handlers[head.line](self._face, PlainRequest(head.headers, body))
        except Exception as error:
            return self.refuse(taken, error)

    def refuse(self, taken: Taken, error: Exception) -> PlainAnswer:
        """The answer to a request that ended in this error."""
        status, text, headers = explain(
            error, self._limit, f"{taken.scope['method']} {taken.scope['path']}"
        )
        return plain_answer(ErrorAnswer(text), status, headers)


def to_bytes(
    answer: PlainAnswer, origin: bytes | None, more: Iterable[tuple[bytes, bytes]]
) -> bytes:
    """The whole answer as it goes over the wire, with `more` headers."""
    own = "".join(f"{name.lower()}: {value}\r\n" for name, value in answer.headers.items())
    return b"HTTP/1.1 %d \r\n%bcontent-length: %d\r\n%b%b\r\n%b" % (
        answer.status,
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

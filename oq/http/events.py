"""The live feed, over WebSocket and as server-sent events.

A subscriber that does not keep up is told that it lagged, by the queue; one that stops reading is
cut off by its connection (see `oq.http.connection`). Neither ever holds anybody else.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, NamedTuple

import trio
from quart.wrappers import Request, Websocket
from quart.wrappers.response import ResponseBody
from quart_trio.wrappers import TrioResponse as Response

from oq.http.answers import encode
from oq.http.face import Face
from oq.http.query import Query, whole
from oq.words.errors import InvalidTask, Unavailable
from oq.words.events import Event, EventType, Lagged

if TYPE_CHECKING:
    from oq.queue import Subscription

EVENT_STREAM = "text/event-stream"
SSE_KEEPALIVE = 15.0
"""Seconds after which a comment is sent when nothing happens: a peer that is gone is noticed when
something is sent to it, and proxies cut connections on which nothing moves."""
SSE_RETRY = b"retry: 2000\n"
"""Milliseconds after which a browser that lost the stream tries again."""
GOING_AWAY = 1001  # RFC 6455, 7.4.1

Batch = list[Event | Lagged]


class Wanted(NamedTuple):
    """Which events a subscriber asked for."""

    types: frozenset[EventType] | None
    task_id: str | None
    after: int | None


async def websocket(face: Face, socket: Websocket) -> None:
    """Events as JSON text frames: one object, or an array when several are due."""
    wanted = _wanted(face, socket.args)
    with _Feed(face, wanted) as feed:
        await socket.send(feed.hello.decode())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_ignore_messages, socket)
            async for batch in feed.events:
                await socket.send(_frame(face, batch))
            nursery.cancel_scope.cancel()
    await socket.close(GOING_AWAY, "the server is shutting down")


async def server_sent(face: Face, request: Request) -> Response:
    """The same as server-sent events; `id` is the seq, so `Last-Event-ID` resumes."""
    wanted = _wanted(face, request.args)
    seen = request.headers.get("Last-Event-ID")
    if seen:  # newer than the address, which a browser repeats as it was
        wanted = wanted._replace(after=_seq("Last-Event-ID", seen))
    response = Response(_EventStream(face, wanted), content_type=EVENT_STREAM)
    response.timeout = None  # Quart would end it after a minute
    return response


def _wanted(face: Face, args: object) -> Wanted:
    query = Query(args)  # type: ignore[arg-type]
    after = query.one("after")
    wanted = Wanted(
        types=query.choices("types", EventType) or None,
        task_id=query.task_id("task_id"),
        after=None if after is None else _seq("after", after),
    )
    limit = face.queue.config.events.max_subscribers
    if face.subscribers >= limit:
        raise Unavailable(
            f"{limit} subscribers are connected already (events.max_subscribers); try again later"
        )
    if face.queue.status().draining:
        raise Unavailable("the server is shutting down; try again when it is back")
    return wanted


def _seq(name: str, value: str) -> int:
    number = whole(name, value)
    if number < 0:
        raise InvalidTask(name, f"{number} is less than 0")
    return number


class _Feed:
    """One subscription, counted for as long as it is open."""

    def __init__(self, face: Face, wanted: Wanted) -> None:
        self._face = face
        self._subscription = face.queue.subscribe(
            types=wanted.types, task_id=wanted.task_id, after=wanted.after
        )

    def __enter__(self) -> _Feed:
        self.events: Subscription = self._subscription.__enter__()
        self._face.subscribers += 1
        self.hello = encode(
            {
                "type": "hello",
                "seq": self.events.seq,
                "status": self._face.queue.status(),
            }
        )
        return self

    def __exit__(self, *problem: object) -> None:
        self._face.subscribers -= 1
        self._subscription.__exit__(None, None, None)


async def _ignore_messages(socket: Websocket) -> None:
    """A subscriber has nothing to say, but Quart stops noticing that a peer has gone when what
    it sent is not taken.
    """
    while True:
        await socket.receive()


def _frame(face: Face, batch: Batch) -> str:
    parts = [_encoded(face, item) for item in batch]
    whole_frame = parts[0] if len(parts) == 1 else b"[" + b",".join(parts) + b"]"
    return whole_frame.decode()


def _encoded(face: Face, item: Event | Lagged) -> bytes:
    return face.queue.encode_event(item) if isinstance(item, Event) else encode(item)


class _EventStream(ResponseBody):
    """The body of the answer: it subscribes when the answer begins, and not before, because an
    answer that is never begun is never closed either.
    """

    def __init__(self, face: Face, wanted: Wanted) -> None:
        self._face = face
        self._feed = _Feed(face, wanted)

    async def __aenter__(self) -> AsyncIterator[bytes]:
        self._feed.__enter__()
        self._pieces = self._run()
        return self._pieces

    async def __aexit__(self, *problem: object) -> None:
        self._feed.__exit__()

    async def _run(self) -> AsyncIterator[bytes]:
        feed = self._feed
        yield SSE_RETRY + _sse(feed.hello, feed.events.seq)
        batches = aiter(feed.events)
        while True:
            batch: Batch | None = None
            with trio.move_on_after(SSE_KEEPALIVE):
                batch = await anext(batches, [])
            if batch is None:
                yield b": nothing happened\n\n"
            elif not batch:
                return
            else:
                yield b"".join(self._event(item) for item in batch)

    def _event(self, item: Event | Lagged) -> bytes:
        seq = item.seq if isinstance(item, Event) else None
        return _sse(_encoded(self._face, item), seq)


def _sse(data: bytes, seq: int | None) -> bytes:
    # JSON has no line breaks of its own, so one data line is always enough.
    head = b"" if seq is None else b"id: %d\n" % seq
    return head + b"data: " + data + b"\n\n"

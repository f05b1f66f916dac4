"""The live feed, over WebSocket and as server-sent events.

A subscriber that does not keep up is told that it lagged, by the queue; one that stops reading is
cut off by its connection (see `oq.http.client_stream`). Neither ever holds anybody else.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import trio
from quart.wrappers import Websocket
from werkzeug.datastructures import MultiDict

from oq.http import streaming
from oq.http.context import Context
from oq.http.query import Query, whole
from oq.http.request import Request
from oq.http.responses import encode
from oq.http.streaming import EVENT_STREAM, SSE_RETRY, StreamedResponse, sse_event
from oq.queue import RawQueue, Subscription
from oq.words.errors import InvalidTask
from oq.words.events import Event, EventType, Lagged

GOING_AWAY = 1001  # RFC 6455, 7.4.1

PORTION = 500
"""Events that are sent at once, at most: who is far behind gets them bit by bit."""
PORTION_BYTES = 128 * 1024
"""Where a portion ends that is of few but long ones: each subscriber holds its own until it has
left, and there may be many slow ones."""

Batch = list[Event | Lagged]


class Wanted(NamedTuple):
    """Which events a subscriber asked for."""

    types: frozenset[EventType] | None
    task_id: str | None
    after: int | None


async def websocket(context: Context, request: Request, socket: Websocket) -> None:
    """Events as JSON in text frames. The first frame is a hello with the queue's status. Each other
    frame is one event, or an array of events.
    """
    context.check_feeds(request.queue.config.events.max_subscribers)
    with context.subscribe(request.queue, *_wanted(request.args)) as feed:
        await socket.send(_hello(request.queue, feed).decode())
        send = _sender(request, socket)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_ignore_messages, socket)
            async for batch in feed:
                for number, parts in enumerate(_portions(batch, request.queue.encode_event)):
                    if number:
                        await trio.lowlevel.checkpoint()
                    await send(_frame(parts))
            nursery.cancel_scope.cancel()
    await socket.close(GOING_AWAY, "the server is shutting down")


async def server_sent(context: Context, request: Request) -> StreamedResponse:
    """The same events as `/ws`, as server-sent events. The `id` of each is its `seq`, so a browser
    that connects again continues at the right event.
    """
    context.check_feeds(request.queue.config.events.max_subscribers)
    wanted = _wanted(request.args)
    seen = request.header(b"last-event-id")
    if seen:  # newer than the address, which a browser repeats as it was
        wanted = wanted._replace(after=_seq("Last-Event-ID", seen))
    return StreamedResponse(_feed(context, request.queue, wanted), EVENT_STREAM)


def _wanted(args: MultiDict[str, str]) -> Wanted:
    query = Query(args)
    after = query.one("after")
    return Wanted(
        types=query.choices("types", EventType) or None,
        task_id=query.task_id("task_id"),
        after=None if after is None else _seq("after", after),
    )


def _seq(name: str, value: str) -> int:
    number = whole(name, value)
    if number < 0:
        raise InvalidTask(name, f"{number} is less than 0")
    return number


def _hello(queue: RawQueue, feed: Subscription) -> bytes:
    return encode({"type": "hello", "seq": feed.seq, "status": queue.status()})


async def _ignore_messages(socket: Websocket) -> None:
    """A subscriber has nothing to say, but Quart stops noticing that a peer has gone when what
    it sent is not taken.
    """
    while True:
        await socket.receive()


def _sender(request: Request, socket: Websocket) -> Callable[[bytes], Awaitable[None]]:
    """How to send a text frame: by its connection if there is one that can, or by Quart."""
    if request.connection is not None:
        return request.connection.send_text

    async def send(text: bytes) -> None:
        await socket.send(text.decode())

    return send


def _portions(batch: Batch, encode_one: Callable[[Event | Lagged], bytes]) -> Iterator[list[bytes]]:
    """The batch, encoded, in portions of so many events and about so many bytes."""
    parts: list[bytes] = []
    size = 0
    for item in batch:
        part = encode_one(item)
        if parts and (len(parts) >= PORTION or size + len(part) > PORTION_BYTES):
            yield parts
            parts, size = [], 0
        parts.append(part)
        size += len(part)
    if parts:
        yield parts


def _frame(parts: list[bytes]) -> bytes:
    return parts[0] if len(parts) == 1 else b"[" + b",".join(parts) + b"]"


@contextmanager
def _feed(context: Context, queue: RawQueue, wanted: Wanted) -> Iterator[_Pieces]:
    with context.subscribe(queue, *wanted) as feed:
        yield _Pieces(queue, feed, resumed=wanted.after is not None)


class _Pieces:
    """A subscription as server-sent events: a hello, then what comes, or a comment when nothing
    does.
    """

    def __init__(self, queue: RawQueue, feed: Subscription, *, resumed: bool) -> None:
        self._queue = queue
        self._feed = feed
        self._resumed = resumed
        self._greeted = False
        self._left: Iterator[list[bytes]] = iter(())

    async def next(self) -> bytes:
        if not self._greeted:
            await trio.lowlevel.checkpoint()
            self._greeted = True
            return self._hello()
        parts = next(self._left, None)
        if parts is None:
            return await self._next_batch()
        await trio.lowlevel.checkpoint()
        return b"".join(parts)

    async def _next_batch(self) -> bytes:
        batch: Batch | None = None
        with trio.move_on_after(streaming.SSE_KEEPALIVE):
            batch = await anext(self._feed, [])
        if batch is None:
            return streaming.SSE_COMMENT
        self._left = _portions(batch, self._event)
        return b"".join(next(self._left, []))

    def _hello(self) -> bytes:
        # Whoever resumes has not seen what is before `feed.seq` yet: no id to come back with.
        seq = None if self._resumed else b"%d" % self._feed.seq
        return SSE_RETRY + sse_event(_hello(self._queue, self._feed), seq)

    def _event(self, item: Event | Lagged) -> bytes:
        seq = b"%d" % item.seq if isinstance(item, Event) else None
        return sse_event(self._queue.encode_event(item), seq)

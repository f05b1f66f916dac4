"""What a task generates, as it is generated: a chunk a line, or as server-sent events.

A reader holds one piece of about 64 KiB, and takes the next when that has left; one that stops
reading is cut off (see `oq.http.client_stream`). What came meanwhile it finds joined together. One
that comes back goes on from its offset.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from typing import NamedTuple

import msgspec
import trio
from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_accept_header

from oq.http import streaming
from oq.http.context import Context, SharedBytes, SharedLines
from oq.http.query import Query, whole
from oq.http.request import Request
from oq.http.streaming import EVENT_STREAM, StreamedResponse, sse_event
from oq.queue import StreamReader
from oq.rules.stream_log import PORTION
from oq.words.errors import InvalidTask, NotFound
from oq.words.stream import Chunk

NDJSON = "application/x-ndjson"
MOST = 2**53
"""Beyond it a number is not the same for everybody who reads JSON (RFC 8259, 6)."""
FAREWELL = 0.2
"""Seconds in which what is due must be had once the server closes: it is there already."""

_ENCODER = msgspec.json.Encoder()


class Place(NamedTuple):
    """Where in a stream to begin."""

    offset: int
    attempt: int | None


async def stream(context: Context, request: Request, task_id: str) -> StreamedResponse:
    """The output of the task from `offset` on. New chunks are sent as they are generated. The last
    chunk has `done` and the status of the task. If the stream ends without such a chunk, ask for it
    again with the `offset` and `attempt` of the last chunk that you have.
    """
    context.check_open()
    place = _place(request)
    await request.queue.check_known(task_id)  # while it can still be said
    accepted = parse_accept_header(request.header(b"accept"), MIMEAccept)
    events = accepted.best_match((NDJSON, EVENT_STREAM)) == EVENT_STREAM
    feed = _open(context, request, task_id, place, events=events)
    return StreamedResponse(feed, EVENT_STREAM if events else NDJSON)


def _place(request: Request) -> Place:
    query = Query(request.args)
    offset, attempt = query.one("offset"), query.one("attempt")
    place = Place(
        0 if offset is None else _count("offset", offset),
        None if attempt is None else _count("attempt", attempt),
    )
    seen = request.header(b"last-event-id")
    if not seen:
        return place
    before, dot, after = seen.partition(".")
    if not dot:
        raise InvalidTask("Last-Event-ID", f"{seen[:64]!r} is not of the form attempt.offset")
    return Place(_count("Last-Event-ID", after), _count("Last-Event-ID", before))


def _count(name: str, value: str) -> int:
    number = whole(name, value)
    if not 0 <= number <= MOST:
        raise InvalidTask(name, f"{number} is not between 0 and 2**53")
    return number


@contextmanager
def _open(
    context: Context, request: Request, task_id: str, place: Place, *, events: bool
) -> Iterator[_Pieces]:
    with request.queue.stream(task_id, offset=place.offset, attempt=place.attempt) as reader:
        pieces = _Pieces(reader, context.long_lines, task_id, events=events)
        with context.until_close(pieces.end):
            yield pieces


class _Pieces:
    """A stream as the body of an answer, in pieces of about a portion.

    A line that is longer than that is one long chunk; all who read it cut their pieces from the
    same bytes.
    """

    def __init__(
        self, reader: StreamReader, shared: SharedLines, task_id: str, *, events: bool
    ) -> None:
        self._reader = reader
        self._shared = shared
        self._name = task_id, events
        self._encode = _as_event if events else _ENCODER.encode_lines
        # A line that is no chunk would be one too many for those who read lines.
        self._patience = streaming.SSE_KEEPALIVE if events else inf
        self._waiting = trio.CancelScope()
        self._ending = inf  # when, in trio's time
        self._due: deque[Chunk] = deque()
        self._line: SharedBytes | None = None  # a long one, of which a part was sent
        self._sent = 0  # bytes of it

    async def next(self) -> bytes:
        if trio.current_time() > self._ending:
            self._due.clear()
        if self._line is not None or self._due:
            await trio.lowlevel.checkpoint()
            return self._piece()
        with trio.CancelScope() as self._waiting:
            patience = trio.current_time() + self._patience
            self._waiting.deadline = min(patience, self._ending)
            try:
                self._due.extend(await self._reader.receive())
            except NotFound:  # deleted meanwhile: whoever asks again is told
                return b""
            return self._piece()
        return streaming.SSE_COMMENT if self._ending == inf else b""

    def end(self) -> None:
        """The server closes: send what is due, and then end."""
        self._ending = self._waiting.deadline = trio.current_time() + FAREWELL

    def _piece(self) -> bytes:
        """The next lines that are due, or a part of a long one; nothing at the end."""
        if len(self._due) == 1 and self._line is None:  # as for a reader that keeps up
            line = self._line_of(self._due.pop())
            if len(line.data) <= PORTION:
                return line.data
            self._line, self._sent = line, 0
        lines: list[bytes] = []
        room = PORTION
        while room > 0 and self._line is None and self._due:
            line = self._line_of(self._due.popleft())
            if len(line.data) > PORTION:
                self._line, self._sent = line, 0
            else:
                lines.append(line.data)
                room -= len(line.data)
        if lines or self._line is None:
            return b"".join(lines)
        begin, self._sent = self._sent, self._sent + PORTION
        part = self._line.data[begin : self._sent]
        if self._sent >= len(self._line.data):
            self._line = None
        return part

    def _line_of(self, chunk: Chunk) -> SharedBytes:
        extras = chunk.thinking, chunk.tool_calls, chunk.logprobs
        if len(chunk.data) <= PORTION and extras == (None, None, None):
            return SharedBytes(self._encode([chunk]))
        name = *self._name, chunk.attempt, chunk.offset
        line = self._shared.get(name)
        if line is None:
            line = SharedBytes(self._encode([chunk]))
            if len(line.data) > PORTION:
                self._shared[name] = line
        return line


def _as_event(chunks: list[Chunk]) -> bytes:
    return b"".join(
        sse_event(_ENCODER.encode(chunk), b"%d.%d" % (chunk.attempt, chunk.offset))
        for chunk in chunks
    )

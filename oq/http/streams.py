"""What a task generates, as it is generated: a chunk a line, or as server-sent events.

A reader that stops reading holds nothing but its connection, which has its own limit (see
`oq.http.connection`): what came meanwhile it finds joined together. One that comes back goes on
from its offset.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from typing import NamedTuple

import msgspec
import trio
from quart.wrappers import Request
from quart_trio.wrappers import TrioResponse as Response

from oq.http import flows
from oq.http.face import Face
from oq.http.flows import EVENT_STREAM, flow, sse
from oq.http.query import Query, whole
from oq.queue import StreamReader
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


async def stream(face: Face, request: Request, task_id: str) -> Response:
    """The task's output from `offset` on, then live. The last chunk has `done` and the status; a
    stream that ends without one is to be asked for again from where it ended.
    """
    face.check_open()
    place = _place(request)
    await face.queue.view(task_id)  # NotFound, while it can still be said
    events = request.accept_mimetypes.best_match((NDJSON, EVENT_STREAM)) == EVENT_STREAM
    feed = _open(face, task_id, place, events=events)
    return flow(request, feed, EVENT_STREAM if events else NDJSON)


def _place(request: Request) -> Place:
    query = Query(request.args)
    offset, attempt = query.one("offset"), query.one("attempt")
    place = Place(
        0 if offset is None else _count("offset", offset),
        None if attempt is None else _count("attempt", attempt),
    )
    seen = request.headers.get("Last-Event-ID")
    if not seen:
        return place
    before, dot, after = seen.partition(".")
    if not dot:
        raise InvalidTask("Last-Event-ID", f"{seen[:64]!r} is not attempt.offset")
    return Place(_count("Last-Event-ID", after), _count("Last-Event-ID", before))


def _count(name: str, value: str) -> int:
    number = whole(name, value)
    if not 0 <= number <= MOST:
        raise InvalidTask(name, f"{number} is not between 0 and 2**53")
    return number


@contextmanager
def _open(face: Face, task_id: str, place: Place, *, events: bool) -> Iterator[_Pieces]:
    with face.queue.read_stream(task_id, offset=place.offset, attempt=place.attempt) as reader:
        pieces = _Pieces(reader, events=events)
        with face.until_close(pieces.end):
            yield pieces


class _Pieces:
    """A stream as the body of an answer: all chunks that are due in one piece."""

    def __init__(self, reader: StreamReader, *, events: bool) -> None:
        self._reader = reader
        self._encode = _as_events if events else _ENCODER.encode_lines
        # A line that is no chunk would be one too many for those who read lines.
        self._patience = flows.SSE_KEEPALIVE if events else inf
        self._waiting = trio.CancelScope()
        self._ending = False

    async def next(self) -> bytes:
        with trio.CancelScope() as self._waiting:
            patience = FAREWELL if self._ending else self._patience
            self._waiting.deadline = trio.current_time() + patience
            try:
                return self._encode(await self._reader.receive())
            except NotFound:  # deleted meanwhile: whoever asks again is told
                return b""
        return b"" if self._ending else flows.SSE_COMMENT

    def end(self) -> None:
        """The server closes: send what is due, and then end."""
        self._ending = True
        self._waiting.deadline = trio.current_time() + FAREWELL


def _as_events(chunks: list[Chunk]) -> bytes:
    return b"".join(
        sse(_ENCODER.encode(chunk), b"%d.%d" % (chunk.attempt, chunk.offset)) for chunk in chunks
    )

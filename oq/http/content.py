"""The answer of a task as its backend sent it: JSON, a stream, an image, sound, a text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from oq.http.byte_ranges import Part, asked_part
from oq.http.context import Context
from oq.http.request import Request
from oq.http.responses import JSON, WholeResponse
from oq.http.streaming import StreamedResponse
from oq.queue import CallReader, Ended
from oq.words.errors import Conflict
from oq.words.from_json import NOT_READ
from oq.words.head import Head
from oq.words.task import Status

_SHOWN = re.compile(
    r"(audio|video)/[\w.+-]+|image/(png|jpeg|gif|webp|avif|bmp)|text/(plain|event-stream)"
    r"|application/(json|x-ndjson)",
    re.ASCII,
)
"""What a browser may show by itself. All else, above all what may hold a script, is a file."""


async def content(
    context: Context, request: Request, task_id: str
) -> WholeResponse | StreamedResponse:
    """The backend's answer to a completed task, byte for byte, with the content type that it had.
    The answer to a call that streamed is the stream. Types that a browser might run, such as HTML
    and SVG, are sent as a file to save. Of an answer that came whole a part can be asked for, with
    a Range header that names one.
    """
    context.check_open()
    task = await request.queue.get(task_id)
    if task.status is not Status.COMPLETED:
        raise Conflict(f"task {task_id} is {task.status}: only a completed one has an answer")
    with request.queue.content(task_id) as reader:
        first = await reader.receive()
        kind = _kind(reader.head)
    size = len(first.result or b"") if isinstance(first, Ended) else _size(task.result, kind)
    part = None if size is None else asked_part(request, size)
    status, headers = 200 if part is None else 206, _headers(task_id, kind, size, part)
    if isinstance(first, Ended):
        body = first.result or b""
        return WholeResponse(body if part is None else part.cut(body, 0), status, headers, kind)
    whole = None if size is None else Part(0, size, size)
    feed = _open(request, task_id, part or whole)
    return StreamedResponse(feed, kind, status, headers, _length(part or whole))


def _headers(task_id: str, kind: str, size: int | None, part: Part | None) -> dict[str, str]:
    headers = {}
    if size is not None:
        headers["Accept-Ranges"] = "bytes"
    if part is not None:
        headers["Content-Range"] = f"bytes {part.begin}-{part.end - 1}/{size}"
    # Of several types after commas a browser takes the last one.
    if "," in kind or not _SHOWN.fullmatch(kind.partition(";")[0].strip().lower()):
        headers["Content-Disposition"] = f'attachment; filename="{task_id}"'
    return headers


def _kind(head: Head | None) -> str:
    said = "" if head is None else head.header(b"content-type").decode("latin-1")
    return said if said.isascii() and said.isprintable() and said else JSON


class _File(Struct):
    """The result of a task whose answer is no JSON."""

    content_type: str
    bytes: int


def _size(result: Raw | UnsetType, kind: str) -> int | None:
    """The bytes of an answer that is described by this result; None of a stream, whose result is
    another thing.
    """
    try:
        file = msgspec.json.decode(b"" if result is UNSET else result, type=_File)
    except NOT_READ:
        return None
    return file.bytes if file.content_type == kind else None


def _length(part: Part | None) -> int | None:
    return None if part is None else part.end - part.begin


@contextmanager
def _open(request: Request, task_id: str, part: Part | None) -> Iterator[_Pieces]:
    with request.queue.content(task_id) as reader:
        yield _Pieces(reader, part)


class _Pieces:
    """The answer, or a part of it, as a body, in pieces of a portion at most."""

    def __init__(self, reader: CallReader, part: Part | None) -> None:
        self._reader = reader
        self._part = part
        self._at = 0

    async def next(self) -> bytes:
        while self._part is None or self._at < self._part.end:
            piece = await self._reader.receive()
            if isinstance(piece, Ended):
                break
            said = piece if self._part is None else self._part.cut(piece, self._at)
            self._at += len(piece)
            if said:
                return said
        return b""

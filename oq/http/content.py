"""The answer of a task as its backend sent it: JSON, a stream, an image, sound, a text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from quart_trio.wrappers import TrioResponse as Response

from oq.http.context import Context
from oq.http.request import Request
from oq.http.responses import JSON
from oq.http.streaming import streaming_response
from oq.queue import CallReader, Ended
from oq.words.errors import Conflict
from oq.words.head import Head
from oq.words.task import Status

_SHOWN = re.compile(
    r"(audio|video)/[\w.+-]+|image/(png|jpeg|gif|webp|avif|bmp)|text/(plain|event-stream)"
    r"|application/(json|x-ndjson)",
    re.ASCII,
)
"""What a browser may show by itself. All else, above all what may hold a script, is a file."""


async def content(context: Context, request: Request, task_id: str) -> Response:
    """The backend's answer to a completed task, byte for byte, with the content type that it had.
    The answer to a call that streamed is the stream. Types that a browser might run, such as HTML
    and SVG, are sent as a file to save.
    """
    context.check_open()
    task = await request.queue.get(task_id)
    if task.status is not Status.COMPLETED:
        raise Conflict(f"task {task_id} is {task.status}: only a completed one has an answer")
    with request.queue.content(task_id) as reader:
        first = await reader.receive()
        kind = _kind(reader.head)
    if isinstance(first, Ended):
        response = Response(first.result or b"", 200, content_type=kind)
    else:
        response = streaming_response(request, _open(request, task_id), kind)
    # Of several types after commas a browser takes the last one.
    if "," in kind or not _SHOWN.fullmatch(kind.partition(";")[0].strip().lower()):
        response.headers["Content-Disposition"] = f'attachment; filename="{task_id}"'
    return response


def _kind(head: Head | None) -> str:
    said = "" if head is None else head.header(b"content-type").decode("latin-1")
    return said if said.isascii() and said.isprintable() and said else JSON


@contextmanager
def _open(request: Request, task_id: str) -> Iterator[_Pieces]:
    with request.queue.content(task_id) as reader:
        yield _Pieces(reader)


class _Pieces:
    """The answer as a body, in pieces of a portion."""

    def __init__(self, reader: CallReader) -> None:
        self._reader = reader

    async def next(self) -> bytes:
        piece = await self._reader.receive()
        return b"" if isinstance(piece, Ended) else piece

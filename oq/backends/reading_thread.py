"""Reads what compressed bodies say, without stopping everybody else meanwhile.

A small body may say a thousand times as much. What says more than a little is read in a thread,
and one at a time in the whole process: so it takes the memory of one document, and the event
loop goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

import trio

from oq.dialects.documents import MAX_DOCUMENT, MAX_GLANCE, read_bounded
from oq.words.errors import OqError, PayloadTooLarge
from oq.words.head import Headers

T = TypeVar("T")
Use = Callable[[bytes], T]
"""What is wanted of a document. It runs in another thread: it must be pure."""

_one = trio.lowlevel.RunVar[trio.CapacityLimiter]("documents that are read apart")


async def use_bounded(
    body: bytes, headers: Headers, limit: int, use: Use[T], held: Callable[[int], object]
) -> T:
    """What `use` makes of the document of a body that has just come.

    PayloadTooLarge as of `oq.dialects.documents.read_bounded`. `held` gets the number of bytes of
    each piece that is inflated, in the thread of the event loop; what it raises is raised here.
    """
    try:
        document = read_bounded(body, headers, min(limit, MAX_GLANCE))
    except PayloadTooLarge:
        if limit <= MAX_GLANCE:
            raise
    else:
        return use(document)

    def grow(size: int) -> None:
        trio.from_thread.run_sync(held, size)

    return await apart(partial(_read, body, headers, limit, use, grow))


async def use_document(body: bytes, headers: Headers, use: Use[T]) -> T:
    """The same of a body that was taken in before. What cannot be read is an empty document."""
    try:
        return await use_bounded(body, headers, MAX_DOCUMENT, use, _uncounted)
    except PayloadTooLarge:
        return use(b"")


def _read(body: bytes, headers: Headers, limit: int, use: Use[T], grow: Callable[[int], None]) -> T:
    try:
        return use(read_bounded(body, headers, limit, grow))
    except OqError as error:
        # Its traceback would keep the document in memory for as long as its caller is answered.
        raise error.with_traceback(None) from None


def _uncounted(_size: int) -> None:
    pass


async def apart(work: Callable[[], T]) -> T:
    """What `work` gives, which runs in a thread, after all others that want to."""
    try:
        limiter = _one.get()
    except LookupError:
        limiter = trio.CapacityLimiter(1)
        _one.set(limiter)
    return await trio.to_thread.run_sync(work, limiter=limiter)

"""What an attempt generates, in slices of about a portion each: the same while it runs and on disk.

A slice that is full is encoded and stays as that: bytes that all readers share, and that need no
work when the task ends. A reader decodes the one in which it stands, and gives it up again. Of a
long answer the full slices are written while it comes, so that memory does not hold them all.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from weakref import WeakValueDictionary

import msgspec
from msgspec.structs import replace

from oq.rules.stream_log import PORTION, StreamLog, piece_of, weight
from oq.words.head import Head
from oq.words.steps import Records

PART = 1 << 31
"""The number of the first part of a long result; smaller numbers are slices of the stream."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(StreamLog).decode


class OpenLog:
    """The log of an attempt that runs. That of a `call` keeps its chunks as they are, and the head
    of the answer that they are the body of.

    Full slices may be written while it grows (`ahead`), and those that are on disk are not kept.
    """

    __slots__ = (
        "_decoded", "_full", "_kept", "_length", "_open", "_parts", "_starts", "_weight", "attempt",
        "call", "head", "waiting",
    )  # fmt: skip

    def __init__(self, attempt: int, call: str | None) -> None:
        self.attempt = attempt
        self.call = call
        self.head: Head | None = None
        self.waiting = 0
        """Bytes of the full slices that are not on disk."""
        self._full: deque[bytes] = deque()  # those that are not on disk
        self._kept = 0  # how many are
        self._parts = 0  # of the result, which are or are about to be
        self._starts: list[int] = []  # of all full slices
        self._open = StreamLog(attempt, [], [], call=call)
        self._length = 0  # in chunks
        self._weight = 0
        # A chunk may be of many megabytes, and has a slice of its own: its readers share one.
        self._decoded: WeakValueDictionary[int, StreamLog] | None = None  # most have no full slice

    def __len__(self) -> int:
        """How many chunks there are."""
        return self._length

    def add(self, chunk: bytes) -> None:
        """The backend has sent a chunk."""
        piece = piece_of(chunk) if self.call is None else None
        size = len(chunk) if piece is None else weight(piece)
        if self._weight and self._weight + size > PORTION:
            self._close()
        self._weight += size
        self._length += 1
        if piece is None:
            self._open.frames.append(chunk)
        else:
            self._open.pieces.append(piece)

    def slice(self, offset: int) -> StreamLog | None:
        """The slice in which this offset lies, or the last one; None when it is on disk."""
        if offset >= self._open.first:
            return self._open
        number = slice_number(self._starts, offset)
        if number < self._kept:
            return None
        if self._decoded is None:
            self._decoded = WeakValueDictionary()
        found = self._decoded.get(number)
        if found is None:
            found = self._decoded[number] = _decode(self._full[number - self._kept])
        return found

    def ahead(self, most: int) -> Records:
        """The next full slices, up to so many bytes and at least one, to be written now; when they
        are on disk, tell `note_kept`.
        """
        taken: list[tuple[int, bytes]] = []
        size = 0
        for number, record in enumerate(self._full, self._kept):
            size += len(record)
            if taken and size > most:
                break
            taken.append((number, record))
        return Records(self._first(self._starts[: self._kept + len(taken)]), tuple(taken))

    def note_kept(self, records: Records) -> None:
        """What `ahead` gave is on disk."""
        for _, record in records.others:
            self._full.popleft()
            self.waiting -= len(record)
        self._kept += len(records.others)

    def part(self, result: bytes) -> Records:
        """The next part of the task's result, to be written now."""
        number = PART + self._parts
        self._parts += 1
        record = _encode(StreamLog(self.attempt, [], [result]))
        return Records(self._first(self._starts[: self._kept]), ((number, record),))

    def records(self) -> Records | None:
        """How it is stored at its end, but for what is on disk already: the head, and the slices if
        it is of more than one. None if there was no answer.
        """
        if not self._starts:
            if self._parts or self.head is not None:
                return Records(_encode(replace(self._open, parts=self._parts, head=self.head)))
            return Records(_encode(self._open)) if len(self) else None
        slices = enumerate([*self._full, _encode(self._open)], self._kept)
        return Records(self._first([*self._starts, self._open.first]), tuple(slices))

    def _first(self, starts: list[int]) -> bytes:
        """The first record of a log whose slices begin there."""
        return _encode(
            StreamLog(
                self.attempt, [], starts=starts, parts=self._parts, call=self.call, head=self.head
            )
        )

    def _close(self) -> None:
        """The open slice is full."""
        record = _encode(replace(self._open, more=True))
        self._full.append(record)
        self.waiting += len(record)
        self._starts.append(self._open.first)
        self._open = StreamLog(self.attempt, [], [], first=self._length, call=self.call)
        self._weight = 0


def slice_number(starts: list[int], offset: int) -> int:
    """Which of the slices that begin there has this offset."""
    return max(bisect_right(starts, offset) - 1, 0)

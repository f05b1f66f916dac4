"""What an attempt generates, in slices of about a portion each: the same while it runs and on disk.

A slice that is full is encoded and stays as that: bytes that all readers share, and that need no
work when the task ends. A reader decodes the one in which it stands, and gives it up again.
"""

from __future__ import annotations

from bisect import bisect_right
from weakref import WeakValueDictionary

import msgspec

from oq.rules.pieces import PORTION, StreamLog, piece_of, weight

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(StreamLog).decode


class OpenLog:
    """The log of an attempt that runs. `verbatim`: its chunks are kept as they are."""

    __slots__ = ("_decoded", "_full", "_open", "_starts", "_verbatim", "_weight", "attempt")

    def __init__(self, attempt: int, *, verbatim: bool) -> None:
        self.attempt = attempt
        self._verbatim = verbatim
        self._full: list[bytes] = []
        self._starts: list[int] = []  # of those
        self._open = StreamLog(attempt, [], [])
        self._weight = 0
        # A chunk may be of many megabytes, and has a slice of its own: its readers share one.
        self._decoded: WeakValueDictionary[int, StreamLog] | None = None  # most have no full slice

    def __len__(self) -> int:
        """How many chunks there are."""
        return self._open.end

    def add(self, chunk: bytes) -> None:
        """The backend has sent a chunk."""
        piece = None if self._verbatim else piece_of(chunk)
        size = len(chunk) if piece is None else weight(piece)
        if self._weight and self._weight + size > PORTION:
            self._close()
        self._weight += size
        if piece is None:
            self._open.frames.append(chunk)
        else:
            self._open.pieces.append(piece)

    def slice(self, offset: int) -> StreamLog:
        """The slice in which this offset lies, or the last one."""
        if offset >= self._open.first:
            return self._open
        number = slice_number(self._starts, offset)
        if self._decoded is None:
            self._decoded = WeakValueDictionary()
        found = self._decoded.get(number)
        if found is None:
            found = self._decoded[number] = _decode(self._full[number])
        return found

    def records(self) -> tuple[bytes, ...]:
        """How it is stored: the head, and the slices if it is of more than one. No records, if
        nothing was generated.
        """
        if not len(self):
            return ()
        if not self._full:
            return (_encode(self._open),)
        head = StreamLog(self.attempt, [], starts=[*self._starts, self._open.first])
        return (_encode(head), *self._full, _encode(self._open))

    def _close(self) -> None:
        """The open slice is full."""
        self._full.append(_encode(msgspec.structs.replace(self._open, more=True)))
        self._starts.append(self._open.first)
        self._open = StreamLog(self.attempt, [], [], first=self._open.end)
        self._weight = 0


def slice_number(starts: list[int], offset: int) -> int:
    """Which of the slices that begin there has this offset."""
    return max(bisect_right(starts, offset) - 1, 0)

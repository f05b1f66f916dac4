"""Splits the bytes of a stream into frames: lines, or server-sent events.

A frame keeps its end, so that it can be passed on byte for byte: together they are the stream.
"""

from __future__ import annotations

import re
from enum import Enum

from oq.dialects.reading import MARK
from oq.words.errors import BackendFailure

MAX_FRAME = 64 * 1024 * 1024
"""Bytes. One chunk of an answer is a few hundred; a tool call or an image may be megabytes."""

_DATA = re.compile(rb"^data: ?([^\n]*)", re.MULTILINE)


class End(Enum):
    """The end of a frame: the usual one, and an expression for every one that is allowed. Blank
    lines that follow are a part of the frame. A line of an event ends with CR LF, LF or CR
    (https://html.spec.whatwg.org/multipage/server-sent-events.html).
    """

    LINE = (b"\n", re.compile(rb"\n[\r\n]*+"))
    EVENT = (b"\n\n", re.compile(rb"(?:\n\r?\n|\r\r)[\r\n]*+"))


class Frames:
    """Splits a stream into frames with their ends, wherever the network cut it. Each byte is looked
    at once, however long a frame is and in however many pieces it comes.
    """

    def __init__(self, end: End, limit: int = MAX_FRAME) -> None:
        self._usual, self._end = end.value
        self._limit = limit
        self._held = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The frames that `data` completes; BackendFailure if one is longer than the limit."""
        if not self._held and self._is_one(data):
            return [data]
        searched = max(0, len(self._held) - 2)  # an end may have been cut in two
        self._held += data
        frames = []
        begin = 0
        with memoryview(self._held) as held:
            for end in self._end.finditer(held, searched):
                frames.append(bytes(held[begin : end.end()]))
                begin = end.end()
        del self._held[:begin]
        if len(self._held) > self._limit or any(len(frame) > self._limit for frame in frames):
            raise BackendFailure(f"the backend sent a line of more than {self._limit} bytes")
        return frames

    def _is_one(self, data: bytes) -> bool:
        """Whether `data` is exactly one frame. Most chunks are, and then need no copy."""
        end = self._usual
        once = 0 < data.find(end) == len(data) - len(end)
        return once and b"\r" not in data and len(data) <= self._limit

    def rest(self) -> bytes:
        """What has come after the last end. It is given once."""
        rest = bytes(self._held)
        self._held.clear()
        return rest


def event_data(frame: bytes) -> bytes:
    """The data of an event, without its frame. A byte order mark before it is none of it:
    https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
    """
    frame = frame.removeprefix(MARK)
    if b"\r" in frame:
        frame = frame.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return b"\n".join(_DATA.findall(frame))

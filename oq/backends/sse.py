"""Server-sent events: https://html.spec.whatwg.org/multipage/server-sent-events.html

Only what an OpenAI-compatible stream uses: the data of each event. The specification lets a
reader skip what it does not know; here that would hide a broken stream, so it is an error.
"""

from __future__ import annotations

from oq.backends.failures import error_text, quoted
from oq.backends.lines import MAX_LINE, Lines
from oq.words.errors import BackendFailure

LINE_COST = 64
"""Bytes that each line of an event's data takes beside its own."""

_OTHER_FIELDS = frozenset({b"id", b"retry"})


class Events:
    """Splits a stream into the data of its events, wherever the network cut it."""

    def __init__(self, limit: int = MAX_LINE) -> None:
        self._limit = limit
        self._lines = Lines(limit)
        self._data: list[bytes] = []
        self._size = 0
        self._is_error = False

    def feed(self, chunk: bytes) -> list[bytes]:
        """The data of the events that `chunk` completes; BackendFailure if it is no such stream, or
        if an event takes more bytes than the limit.
        """
        events = []
        for line in self._lines.feed(chunk):
            if line:
                self._take(line)
            elif self._data:
                events.append(self._whole())
        return events

    def close(self) -> None:
        """The stream has ended. BackendFailure if that was in the middle of an event."""
        if self._lines.rest() or self._data:
            raise BackendFailure("the stream ended in the middle of an event")

    def _whole(self) -> bytes:
        data = b"\n".join(self._data)
        self._data.clear()
        self._size = 0
        if self._is_error:
            raise BackendFailure(f"the backend broke off with an error: {error_text(data)}")
        return data

    def _take(self, line: bytes) -> None:
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._data.append(value)
            self._size += len(value) + LINE_COST
            if self._size > self._limit:
                raise BackendFailure(f"the backend sent an event of more than {self._limit} bytes")
        elif field == b"error":  # older llama.cpp
            raise BackendFailure(f"the backend broke off with an error: {error_text(value)}")
        elif field == b"event":
            self._is_error = value.strip() == b"error"
        elif field and field not in _OTHER_FIELDS:
            raise BackendFailure(f"the backend sent something that is no event: {quoted(line)}")

"""Server-sent events, and what all dialects that stream them have in common.

https://html.spec.whatwg.org/multipage/server-sent-events.html. The specification tells readers to
skip lines that they do not know. Here a frame that has no known line is an error: it may be an
error page, and a part of the answer would be missing without notice.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple, Protocol

from oq.dialects.answer_errors import error_text, quoted
from oq.dialects.answer_limit import AnswerLimit
from oq.dialects.base import Dialect, Emit
from oq.dialects.framing import End, Frames
from oq.words.errors import BackendFailure
from oq.words.outcome import Completed

_ONE_LINE = re.compile(rb"data: ([^\r\n]+)\n\n")
"""The usual event: one line of data and nothing else. For it the checks below are not needed."""
_DATA = re.compile(rb"^data: ?([^\n]*)", re.MULTILINE)
_NAMED_ERROR = re.compile(rb"^event:[ \t]*error[ \t\r]*$", re.MULTILINE)
_ERROR_FIELD = b"error:"
"""Older versions of llama.cpp send errors in this field."""
_WITHOUT_DATA = (b":", b"event:", b"id:", b"retry:")


class Event(NamedTuple):
    """One event: its data, if it has any, and the bytes as they came."""

    data: bytes
    frame: bytes


class Events:
    """Splits a stream into its events. `limit` is that of the whole answer.

    `or_whole`: the stream may be one JSON object instead, which is given as one event. Some servers
    never stream, and some send errors like this.
    """

    def __init__(self, limit: AnswerLimit, *, or_whole: bool = False) -> None:
        self._frames = Frames(End.EVENT)
        self._limit = limit
        self._or_whole = or_whole

    def feed(self, data: bytes) -> Iterator[Event]:
        """The events that `data` completes. BackendFailure if one is an error, is not an event, or
        takes too much memory.
        """
        for frame in self._frames.feed(data):
            yield self._read(frame)

    def rest(self) -> Iterator[Event]:
        """The last event of a stream that ended without a blank line. It may be incomplete: then
        its data is no JSON.
        """
        if rest := self._frames.rest():
            yield self._read(rest)

    def _read(self, frame: bytes) -> Event:
        self._limit.take(frame)  # before it is taken apart: its lines may be millions
        may_be_whole, self._or_whole = self._or_whole, False
        if line := _ONE_LINE.fullmatch(frame):
            return Event(line[1], frame)
        data = event_data(frame)
        if data:
            if _NAMED_ERROR.search(frame):
                raise _broken_off(data, frame)
            return Event(data, frame)
        begin = frame.lstrip()
        if may_be_whole and begin.startswith(b"{"):
            return Event(frame, frame)
        if begin.startswith(_ERROR_FIELD):
            raise _broken_off(begin.removeprefix(_ERROR_FIELD), frame)
        if begin and not begin.startswith(_WITHOUT_DATA):
            raise BackendFailure(f"the backend sent something that is no event: {quoted(frame)}")
        return Event(b"", frame)


def _broken_off(said: bytes, frame: bytes) -> BackendFailure:
    return BackendFailure(f"the backend broke off with an error: {error_text(said)}", body=frame)


def event_data(frame: bytes) -> bytes:
    """The data of an event, without its frame."""
    return b"\n".join([line.rstrip(b"\r") for line in _DATA.findall(frame)])


class EventFold(Protocol):
    """Puts the events of one answer together."""

    done: bool
    """Whether the event that ends an answer has come."""

    def add(self, data: bytes, frame: bytes) -> None:
        """Fold one event. BackendFailure if it is an error, or nothing that such a server sends."""
        ...

    def completed(self) -> Completed:
        """The whole answer. BackendFailure if the stream ended before it was whole."""
        ...


class FoldedEvents:
    """A stream of events as it comes in: each event is folded, and then passed on."""

    def __init__(self, fold: EventFold, emit: Emit, limit: int) -> None:
        self._events = Events(AnswerLimit(limit), or_whole=True)
        self._fold = fold
        self._emit = emit

    def feed(self, data: bytes) -> bool:
        """See `oq.dialects.base.Answer`."""
        self._take(self._events.feed(data))
        return self._fold.done

    def completed(self) -> Completed:
        """See `oq.dialects.base.Answer`."""
        if not self._fold.done:
            self._take(self._events.rest())
        return self._fold.completed()

    def _take(self, events: Iterator[Event]) -> None:
        for event in events:
            if event.data:
                self._fold.add(event.data, event.frame)
            self._emit(event.frame)
            if self._fold.done:
                return


class EventDialect(Dialect):
    """A dialect that streams events."""

    stream_type = b"text/event-stream"

    def document(self, frame: bytes) -> bytes:
        """See `Dialect`; some servers answer with the object alone."""
        return event_data(frame) or (frame if frame.lstrip()[:1] == b"{" else b"")

    def separator(self, last: bytes) -> bytes:
        """See `Dialect`."""
        return b"" if not last or last.endswith((b"\n\n", b"\n\r\n")) else b"\n\n"

    def is_whole(self, first: bytes, *, ends_line: bool) -> bool:
        """See `Dialect`."""
        return first.lstrip().startswith(b"{")

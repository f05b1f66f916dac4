"""Server-sent events, and what all dialects that stream them have in common.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import re
from abc import abstractmethod
from typing import Protocol

from oq.dialects.answer_limit import MAX_ANSWER
from oq.dialects.base import Answer, Dialect, EmitFrame, Endpoint, Scrub
from oq.dialects.framing import End, event_data
from oq.dialects.passthrough import Found, PassedFrames
from oq.dialects.reading import UNREADABLE, beginning, read, read_object
from oq.dialects.stated_errors import check_stated, stated
from oq.words.outcome import Completed

_ONE_LINE = re.compile(rb"data: ([^\r\n]+)\n\n")
"""The usual event: one line of data and nothing else. For it the checks below are not needed."""
_OTHER_LINE = re.compile(rb"(?:^|(?<=[\r\n]))(?!data:|\A\xef\xbb\xbfdata:)[^\r\n]+")
"""A line that is no data: a comment, or the name of an event."""
_NAMED_ERROR = re.compile(rb"^event:[ \t]*error[ \t\r]*$", re.MULTILINE)
_ERROR_FIELD = b"error:"
"""Older versions of llama.cpp send errors in this field."""
_WITHOUT_DATA = (b":", b"event:", b"id:", b"retry:", b"data:")
_FIELDS = (_ERROR_FIELD, *_WITHOUT_DATA)
"""How a line of a stream begins."""


class EventFold(Protocol):
    """Puts the events of one answer together."""

    @property
    def done(self) -> bool:
        """Whether the event that ends an answer has come."""
        ...

    def add(self, data: bytes, frame: bytes) -> bool:
        """Fold one event, or an answer that came as one document. What cannot be read adds nothing,
        and is False: half a frame, above all. An error that the backend states is raised; see
        `oq.dialects.stated_errors`.
        """
        ...

    def add_usual(self, frame: bytes) -> bool:
        """Fold an event that differs from the one before in its text alone; False if it is none."""
        ...

    def completed(self) -> Completed:
        """The whole answer. BackendFailure if the stream ended before it was whole."""
        ...


class FoldedEvents(PassedFrames):
    """A stream of events as it comes in: each event is folded, and passed on as it came."""

    def __init__(self, fold: EventFold, emit: EmitFrame, limit: int, scrub: Scrub = bytes) -> None:
        super().__init__(End.EVENT, fold, emit, limit, scrub)
        self._fold = fold
        self._plain = False
        """Whether the last event that was read whole is a line of data and nothing else."""

    def _add(self, frame: bytes) -> Found:
        line = _ONE_LINE.fullmatch(frame)
        self._plain = line is not None
        if line is not None:
            return self._add_data(line[1], frame)
        begin = frame.lstrip()
        if begin.startswith(_ERROR_FIELD):
            raise stated(_of_field(begin.removeprefix(_ERROR_FIELD).strip()), frame)
        data = event_data(frame)
        if data:
            if _NAMED_ERROR.search(frame):
                raise stated(data, frame)
            return self._add_data(data, frame)
        if begin.startswith(b"{") and read_object(begin) is not None:
            return self._add_data(begin, frame)
        return Found.FRAME if self._is_silent(frame) and begin else Found.FOREIGN

    def _add_usual(self, frame: bytes) -> bool:
        return self._plain and self._fold.add_usual(frame)

    def _add_data(self, data: bytes, frame: bytes) -> Found:
        return Found.PART if self._fold.add(data, frame) else Found.FRAME

    def _add_document(self, document: bytes) -> bool:
        return read_object(document) is not None and self._fold.add(document, document)

    def _scrubbed_part(self, frame: bytes) -> bytes:
        if _ONE_LINE.fullmatch(frame) or not event_data(frame):
            return frame
        return _OTHER_LINE.sub(lambda line: self._scrub(line[0]), frame)

    def _is_framed(self, frame: bytes) -> bool:
        return bool(event_data(frame)) or read_object(frame) is not None

    def _is_silent(self, frame: bytes) -> bool:
        begin = frame.lstrip()
        return not begin or (begin.startswith(_WITHOUT_DATA) and not event_data(frame))


def _of_field(said: bytes) -> bytes:
    """The document that is an error whose object, or text, came in a field of its own."""
    return said if read(said) is UNREADABLE else b'{"error":%b}' % said


class EventDialect(Dialect):
    """A dialect that streams events."""

    stream_type = b"text/event-stream"

    @abstractmethod
    def fold(self) -> EventFold:
        """What puts the events of one streamed answer together."""

    @abstractmethod
    def completed(self, body: bytes) -> Completed:
        """A whole answer, which states no error, with what it says of its usage."""

    def streamed(
        self, call: Endpoint, emit: EmitFrame, limit: int = MAX_ANSWER, scrub: Scrub = bytes
    ) -> Answer:
        """See `Dialect`."""
        return FoldedEvents(self.fold(), emit, limit, scrub)

    def whole(self, call: Endpoint, body: bytes) -> Completed:
        """See `Dialect`."""
        check_stated(body)
        return self.completed(body)

    def document(self, frame: bytes) -> bytes:
        """See `Dialect`; some servers answer with the object alone."""
        return event_data(frame) or (frame if frame.lstrip()[:1] == b"{" else b"")

    def begins_stream(self, first: bytes, *, asked: bool) -> bool | None:
        """See `Dialect`."""
        begin = beginning(first)
        if begin is None or any(field.startswith(begin) and field != begin for field in _FIELDS):
            return None
        return begin.startswith(_FIELDS)

    def separator(self, last: bytes) -> bytes:
        """See `Dialect`."""
        return b"" if not last or last.endswith((b"\n\n", b"\n\r\n", b"\r\r")) else b"\n\n"

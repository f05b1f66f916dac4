"""A call of one API as a call of another one that a server has."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

import msgspec
from msgspec import Raw

from oq.dialects.answer_errors import error_text
from oq.dialects.answer_limit import MAX_ANSWER
from oq.dialects.base import Dialect, Endpoint
from oq.dialects.stated_errors import UNKNOWN
from oq.dialects.translate.bits import Reader, Writer
from oq.dialects.translate.chat_request import ChatRequest, Json, names_left_out, read_body
from oq.dialects.translate.order import Order
from oq.words.errors import BackendError

_MEMBERS = msgspec.json.Decoder(dict[str, Raw])
_FALSE = Raw(b"false")
_THOUGHTS = "reasoning_content"
_CHANGING = frozenset({"parallel_tool_calls", "reasoning_effort", "think", _THOUGHTS})

MakeWriter = Callable[[str, datetime, bool], Writer]
"""Takes the id of the answer, the time when it began, and whether it is wanted as one object."""
ReadRequest = Callable[[Json], tuple[ChatRequest, MakeWriter]]


class Form(NamedTuple):
    """A form that servers take: its call, how a request is written, and how an answer is read."""

    path: str
    write: Callable[[ChatRequest], bytes]
    answer: Callable[[int], Reader]


class Translation(NamedTuple):
    """How `call` is said in the form of another one. `endpoint` is that one."""

    call: Endpoint
    endpoint: Endpoint
    read: ReadRequest
    form: Form

    def request(self, body: bytes) -> Translated:
        """The request in the other form. InvalidTask names the field that cannot be translated."""
        asked, writer = self.read(read_body(body))
        sent = self.form.write(asked)
        return Translated(self, sent, asked.stream, names_left_out(asked.left_out), writer)


class Translated(NamedTuple):
    """One request in the other form.

    `body` is for `translation.endpoint`. `left_out` names what it is made without: hints, and tools
    that the model need not use; it goes to the caller in the header X-OQ-Left-Out. All methods give
    what the caller of `translation.call` is to get.
    """

    translation: Translation
    body: bytes
    streams: bool
    left_out: tuple[str, ...]
    writer: MakeWriter

    @property
    def endpoint(self) -> Endpoint:
        """The call that `body` is for."""
        return self.translation.endpoint

    def has(self, field: str) -> bool:
        """Whether the body has this field, and not as false; the thoughts are in its messages."""
        if field == _THOUGHTS:
            return b'"%b":' % _THOUGHTS.encode() in self.body
        return _MEMBERS.decode(self.body).get(field, _FALSE) != _FALSE

    def value(self, field: str) -> bytes:
        """The value of this field in the body, as JSON; nothing if it has none."""
        return bytes(_MEMBERS.decode(self.body).get(field, b""))

    def without(self, fields: frozenset[str]) -> Translated:
        """The same without these hints, which a server refuses. Those that change the answer are
        named. Without `stream` the answer comes whole, and `stream` translates that as well.
        """
        if not fields:
            return self
        sent = _MEMBERS.decode(self.body)
        dropped = [name for name in sent if name in fields and name != "stream"]
        for name in dropped:
            del sent[name]
        if _THOUGHTS in fields and self.has(_THOUGHTS):
            dropped.append(_THOUGHTS)
            sent["messages"] = Raw(_without_thoughts(sent["messages"]))
        if "stream" in fields:
            sent["stream"] = _FALSE
            sent.pop("stream_options", None)
        named = names_left_out([name for name in dropped if name in _CHANGING])
        return self._replace(body=msgspec.json.encode(sent), left_out=(*self.left_out, *named))

    def stream(self, answer_id: str, now: datetime, limit: int = MAX_ANSWER) -> TranslatedStream:
        """Translates the answer as it comes. `answer_id` makes all the ids in it: letters, digits
        and ``_``. `limit` is in bytes of memory.
        """
        writer = self.writer(answer_id, now, False)
        return self._stream(writer, limit)

    def whole(self, body: bytes, answer_id: str, now: datetime, limit: int = MAX_ANSWER) -> bytes:
        """Translates an answer that came as one object, or as a stream to a caller that wants one.

        BackendFailure and BackendRejected as `TranslatedStream` raises them.
        """
        writer = self.writer(answer_id, now, True)
        stream = self._stream(writer, limit)
        stream.feed(body)
        stream.end()
        return writer.whole()

    def _stream(self, writer: Writer, limit: int) -> TranslatedStream:
        dialect = self.translation.call.dialect
        return TranslatedStream(dialect, self.translation.form.answer(limit), writer)

    def error(self, status: int, body: bytes) -> bytes:
        """The error that the server answered with this status, in the caller's form."""
        return self.translation.call.dialect.error(status, error_text(body))


class TranslatedStream:
    """The answer to one call, translated while it comes. Linear in what comes, and bounded."""

    def __init__(self, dialect: Dialect, reader: Reader, writer: Writer) -> None:
        self._dialect = dialect
        self._reader = reader
        self._writer = writer
        self._order = Order(writer)
        self._begun = self._ended = False

    @property
    def done(self) -> bool:
        """Whether the server has said all; `end` gives what the caller still lacks."""
        return self._reader.done

    def feed(self, data: bytes) -> list[bytes]:
        """The frames for the next bytes.

        An error that the server states, or an answer that cannot be read, is a BackendFailure or a
        BackendRejected. What the server states is in its body and its frame, in the caller's form.
        """
        try:
            bits = self._reader.feed(data)
        except BackendError as error:
            raise self._told(error) from None
        return self._begin() + self._order.take(bits)

    def end(self) -> list[bytes]:
        """The last frames, once; there are no more bytes. BackendFailure if the answer is not whole
        or says nothing.
        """
        if self._ended:
            return []
        try:
            bits = self._reader.end()
        except BackendError as error:
            raise self._told(error) from None
        self._ended = True
        finish = self._reader.finish
        assert finish is not None
        frames = self._begin() + self._order.take(bits) + self._order.end(cut=finish.is_cut)
        return frames + self._writer.finish(finish, self._reader.counts)

    def _begin(self) -> list[bytes]:
        if self._begun:
            return []
        self._begun = True
        return self._writer.begin()

    def _told(self, error: BackendError) -> BackendError:
        if error.body is not None:
            text = error_text(error.body)
            error.body = self._dialect.error(error.status or UNKNOWN, text)
            error.frame = self._writer.fail(text)
        return error


def _without_thoughts(messages: Raw) -> bytes:
    kept = msgspec.json.decode(messages, type=list[dict[str, Raw]])
    for message in kept:
        message.pop(_THOUGHTS, None)
    return msgspec.json.encode(kept)

"""Calls at one server: as they are where it has their path, and translated where it has not.

A server is asked first. That it lacks a path (`oq.backends.missing_paths`) is remembered for a
while, once a call has succeeded without. What it can be asked instead, `oq.dialects.translate`
knows.
"""

from __future__ import annotations

from functools import partial
from uuid import uuid4

import trio

from oq.backends.base import Request
from oq.backends.missing_paths import lacks_path, may_be_an_echo
from oq.backends.pouring import Feed
from oq.backends.reading_thread import use_document
from oq.backends.refusals import Refusals
from oq.backends.refused_fields import RefusedFields, refused_field
from oq.backends.together import Together
from oq.backends.transport import Transport
from oq.backends.verbatim import call_of, run_call
from oq.dialects.base import Answer, Dialect, Emit
from oq.dialects.translate import Translated, TranslatedStream, Translation, translation
from oq.dialects.translate.chat_request import read_body
from oq.words.clock import Clock
from oq.words.errors import BackendError, BackendFailure, BackendRejected, InvalidTask
from oq.words.head import Head
from oq.words.outcome import Completed

LEFT_OUT = b"x-oq-left-out"
"""The header that names what an answer was made without."""

_OF_THE_BODY = frozenset({b"content-encoding", b"content-length", b"content-type", b"etag"})


class ServedCalls:
    """Makes calls at the server of `transport`, which speaks these dialects."""

    def __init__(self, transport: Transport, speaks: tuple[Dialect, ...], clock: Clock) -> None:
        self._transport = transport
        self._speaks = speaks
        self._clock = clock
        self._lacking = Refusals(trio.current_time)  # paths, of those of `oq.dialects`
        self._refused = RefusedFields(trio.current_time)

    async def run(self, request: Request, emit: Emit) -> Completed:
        """Make the call that the task is; its errors are those of `Backend.run`."""
        call = call_of(request)
        how = translation(call, self._speaks)
        if how is not None and call.path in self._lacking:
            return await self._translated(how, request, emit)
        try:
            path = request.target or call.path
            return await run_call(self._transport, path, request, emit)
        except BackendError as error:
            if how is None or not lacks_path(error, request.model):
                raise
            lacked = error
        try:
            done = await self._translated(how, request, emit)
        except BackendError as error:
            if lacks_path(error, request.model):  # it has neither: its caller asked for the first
                raise lacked from None
            raise

        def may_be(document: bytes) -> bool:
            return may_be_an_echo(lacked, call.path, lambda: read_body(document))

        if not await use_document(request.payload, request.headers, may_be):
            self._lacking.note(call.path)
        return done

    async def _translated(self, how: Translation, request: Request, emit: Emit) -> Completed:
        translated = await use_document(request.payload, request.headers, partial(translate, how))
        known = self._refused.of(translated, request.model)
        refused: dict[str, str] = {}
        while True:
            sent = translated.without(known | refused.keys())
            try:
                done = await self._send(sent, request, emit)
            except BackendError as error:
                if (found := refused_field(error, sent)) is None:
                    raise in_its_form(error, translated) from None
                refused[found[0]] = found[1]
            else:
                self._refused.note(translated, request.model, refused)
                return done

    async def _send(self, sent: Translated, request: Request, emit: Emit) -> Completed:
        transport = self._transport
        answer = TranslatedAnswer(sent, emit, self._clock, transport.max_answer)
        path = sent.endpoint.path
        headers = tuple(item for item in request.headers if item[0] not in _OF_THE_BODY)
        headers += ((b"content-type", b"application/json"),)
        with transport.secret_of(request.headers).kept_from_errors():
            streams = sent.has("stream")
            await transport.call(path, sent.body, headers, answer.begin, streams=streams)
            return answer.completed()


def translate(how: Translation, body: bytes) -> Translated:
    """The call in the other form. BackendRejected, as a 400 of the caller's API, if it has none."""
    try:
        return how.request(body)
    except InvalidTask as error:
        said = how.call.dialect.error(400, str(error))
        raise BackendRejected(str(error), status=400, body=said) from None


def in_its_form(error: BackendError, translated: Translated) -> BackendError:
    """The error as the caller's API says it."""
    if error.status is not None and error.body is not None:
        error.body = translated.error(error.status, error.body)
        if error.head is not None:
            kind = translated.translation.call.dialect.json_type
            error.head = _own_head(error.head, kind, ())
    return error


class TranslatedAnswer:
    """The answer to a translated call, as it comes: it is told in the caller's form, and what is
    kept of it is that.
    """

    def __init__(self, translated: Translated, emit: Emit, clock: Clock, limit: int) -> None:
        self._translated = translated
        self._call = translated.translation.call
        self._emit = emit
        self._together = Together(emit)
        self._limit = limit
        self._id, self._now = uuid4().hex, clock.now()
        self._head = Head()
        self._body = bytearray()
        self._stream: TranslatedStream | None = None
        self._told: Answer | None = None

    def begin(self, head: Head) -> Feed:
        """The head has come; what takes the bytes of the body."""
        dialect, streams = self._call.dialect, self._translated.streams
        kind = dialect.stream_type if streams else dialect.json_type
        self._head = _own_head(head, kind, self._translated.left_out)
        if streams:
            self._stream = self._translated.stream(self._id, self._now, self._limit)
        return self._feed

    def completed(self) -> Completed:
        """The complete answer. BackendFailure or BackendRejected if it is none."""
        if self._stream is None:
            body = bytes(self._body)
            whole = self._translated.whole(body, self._id, self._now, self._limit)
            self._emit(self._head.sized(len(whole)))
            return self._call.dialect.whole(self._call, whole)
        self._tell(self._stream.end())
        if self._told is None:
            raise BackendFailure("the backend answered without a word")
        with self._together:
            return self._told.completed()

    def _feed(self, data: bytes) -> bool:
        if self._stream is None:
            self._body += data
            return False
        self._tell(self._stream.feed(data))
        return self._stream.done

    def _tell(self, frames: list[bytes]) -> None:
        if self._told is None and frames:
            self._emit(self._head)
            self._told = self._call.dialect.streamed(self._call, self._together.add, self._limit)
        with self._together:
            for frame in frames:
                assert self._told is not None
                self._told.feed(frame)


def _own_head(head: Head, kind: bytes, left_out: tuple[str, ...]) -> Head:
    """The head of an answer that has a body of another form."""
    kept = tuple(item for item in head.headers if item[0] not in _OF_THE_BODY)
    named = ((LEFT_OUT, ", ".join(left_out).encode()),) if left_out else ()
    return Head(head.status, head.reason, ((b"content-type", kind), *kept, *named))

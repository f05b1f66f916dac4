"""A call at a backend that speaks its dialect: the caller's bytes go up, the backend's come down.

What is kept of an answer, and which error it states, is read beside the bytes (`oq.dialects`). What
cannot be read is passed on all the same, but without the keys of the backend and of the caller.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import msgspec
from msgspec import Raw

from oq.backends.base import Backend, Request
from oq.backends.pouring import Feed
from oq.backends.reading_thread import use_document
from oq.backends.secrets import ScrubbedStream, Secret
from oq.backends.together import Together
from oq.backends.transport import Transport
from oq.dialects import ENDPOINTS, Endpoint
from oq.dialects.answer_errors import quoted
from oq.dialects.base import Answer, Emit
from oq.dialects.reading import MARK, lacks_end
from oq.rules.surrogates import readable
from oq.words.errors import BackendError, BackendFailure, BackendRejected
from oq.words.from_json import NOT_READ
from oq.words.head import Head
from oq.words.outcome import Completed

_STREAMED = (b"text/event-stream", b"application/x-ndjson")
_TEXTS = frozenset({b"text/plain", b"text/vtt", b"text/srt", b"application/x-subrip"})
"""Of answers of these types the text is kept."""
_MEDIA = (b"audio/", b"image/", b"video/", b"application/octet-stream")
"""How the types of answers begin that are no text, and pass byte for byte."""
_NOTHING_SECRET = Secret()
MAX_TEXT = 1024 * 1024
"""Bytes of a text that is kept beside its own bytes."""
MOST_HELD = 256 * 1024
"""Bytes that are held until it is known whether they begin a stream."""
NEAR = 64
"""Bytes after its first piece within which each one may tell. Later it is a line end that tells."""
_UNSAID = (b"", b"text/plain", b"application/octet-stream")
"""Content types that do not say what the body is."""
_is_json = msgspec.json.Decoder(Raw).decode


async def run_call(transport: Transport, path: str, request: Request, emit: Emit) -> Completed:
    """Make the call of this task where the backend has it, at `path`.

    The errors are those of `oq.backends.base.Backend.run`.
    """
    secret = transport.secret_of(request.headers)
    streams = await asks_stream(request)
    answer = CallAnswer(call_of(request), streams, emit, transport.max_answer, secret)
    with secret.kept_from_errors():
        answer.sure_end = await transport.call(
            path, request.payload, request.headers, answer.begin, streams=answer.asked_stream
        )
        return answer.completed()


class CallAnswer:
    """The answer to one call, as it comes: it is passed to `emit`, and what is kept of it is read.

    `asked_stream`: the caller asked for a stream. `sure_end`: the end of the body came by what HTTP
    says of it, and not with that of the connection. `limit` is in bytes of memory. `secret` has the
    keys that are taken out of what is not generated.
    """

    def __init__(
        self,
        call: Endpoint,
        asked_stream: bool,
        emit: Emit,
        limit: int,
        secret: Secret = _NOTHING_SECRET,
    ) -> None:
        self._call = call
        self._emit = emit
        self._together = Together(emit)
        self._limit = limit
        self._secret = secret
        self._head = Head()
        self._answer: Answer | None = None
        self._held = bytearray()  # what has come while it is open what it begins
        self._begun_at: int | None = None  # where in it the first piece is that is not blank
        self.asked_stream = asked_stream
        self.sure_end = True

    def begin(self, head: Head) -> Feed:
        """The head has come; what takes the bytes of the body."""
        self._head = head
        return self._feed

    def completed(self) -> Completed:
        """The complete answer. BackendFailure or BackendRejected if it is none."""
        if self._answer is None:
            if not self._held:
                raise BackendFailure("the backend answered without a word")
            self._read_as(stream=False)
        assert self._answer is not None
        with self._together:
            return self._answer.completed()

    def _feed(self, data: bytes) -> bool:
        if self._answer is not None:
            with self._together:
                return self._answer.feed(data)
        before = len(self._held)
        self._held += data
        first = self._begun_at is None and bool(data.strip())
        if first:
            self._begun_at = before
        # Not at each piece: a server may send very many, of a byte each.
        near = self._begun_at is not None and before - self._begun_at < NEAR
        tells = first or near or (self._begun_at is not None and b"\n" in data)
        stream = self._is_stream(bytes(self._held)) if tells else None
        if stream is None and len(self._held) <= MOST_HELD:
            return False
        return self._read_as(stream=bool(stream))

    def _read_as(self, *, stream: bool) -> bool:
        """It is known what comes: read what is held."""
        held, self._held = bytes(self._held), bytearray()
        self._answer = self._form(stream=stream)
        with self._together:
            return self._answer.feed(held)

    def _form(self, *, stream: bool) -> Answer:
        """What reads the answer."""
        call, head = self._call, self._head
        if stream:
            self._emit(head.sized(None))
            return call.dialect.streamed(call, self._together.add, self._limit, self._secret.scrub)
        if call.any_type and not _is_json_type(head.content_type):
            return _Pieces(head, self._emit, self._secret)
        return _Document(call, head, self._emit, self._secret, lambda: self.sure_end)

    def _is_stream(self, first: bytes) -> bool | None:
        """By its content type; where that says nothing, or says JSON as some servers say of
        streams, by how it begins. None: more of it has to come.
        """
        if self._call.streams is None:
            return False
        kind = self._head.content_type
        if kind in _STREAMED:
            return True
        if kind not in _UNSAID and not _is_json_type(kind):
            return False
        return self._call.dialect.begins_stream(first, asked=self.asked_stream)


class _Document:
    """An answer that is one JSON document: it is held until it is whole, and is the result.
    `is_sure`: whether it has come to its end, though it may not be readable.
    """

    def __init__(
        self, call: Endpoint, head: Head, emit: Emit, secret: Secret, is_sure: Callable[[], bool]
    ) -> None:
        self._call = call
        self._head = head
        self._emit = emit
        self._secret = secret
        self._is_sure = is_sure
        self._body = bytearray()

    def feed(self, data: bytes) -> bool:
        self._body += data
        return False

    def completed(self) -> Completed:
        body = bytes(self._body)
        begin = body.removeprefix(MARK).lstrip()[:1]
        if begin not in (b"{", b"["):
            raise self._no_document("the backend sent something that is no answer", body)
        done = self._read(body)
        text = readable(body)
        known = _reads(text)
        if not known and not self._is_sure() and lacks_end(body):
            raise self._no_document("the answer cannot be read to its end", body)
        passed = body if known else self._secret.scrub(body)
        self._emit(self._head.sized(len(passed)))
        if text is body and known and begin != b"[":
            return done
        self._emit(passed)  # not everybody can read these very bytes
        if not known:
            return msgspec.structs.replace(done, result=_described(self._head, len(passed)))
        # What is kept as a result is an object, for whoever reads tasks.
        result = b'{"document":%b}' % text if begin == b"[" else text
        return msgspec.structs.replace(done, result=result)

    def _read(self, body: bytes) -> Completed:
        try:
            return self._call.dialect.whole(self._call, body)
        except BackendError as error:
            if error.as_it_came:
                error.status, error.head = self._head.status, self._head
            raise

    def _no_document(self, why: str, body: bytes) -> BackendFailure:
        """The caller gets what came, but the task has failed."""
        error = BackendFailure(f"{why}: {quoted(body)}", status=self._head.status, body=body)
        error.head = self._head
        return error


class _Pieces:
    """An answer that is no JSON: sound, an image, a text. It is passed on as it comes; a text that
    is not long is kept as well. What is no sound and no image may be the page of a proxy: the keys
    are taken out of it. A mask is as long as its key where the head says how long the body is.
    """

    def __init__(self, head: Head, emit: Emit, secret: Secret) -> None:
        self._head = head
        self._emit = emit
        keys = _NOTHING_SECRET if head.content_type.startswith(_MEDIA) else secret
        sized = bool(head.header(b"content-length"))
        self._clean = ScrubbedStream(keys, keep_length=sized)
        self._size = 0
        self._text = bytearray() if head.content_type in _TEXTS else None
        emit(head)

    def feed(self, data: bytes) -> bool:
        self._pass_on(self._clean.feed(data))
        return False

    def _pass_on(self, data: bytes) -> None:
        self._size += len(data)
        if self._text is not None:
            self._text += data
            self._text = None if self._size > MAX_TEXT else self._text
        if data:
            self._emit(data)

    def completed(self) -> Completed:
        self._pass_on(self._clean.rest())
        return Completed(_described(self._head, self._size, self._text))


def _is_json_type(kind: bytes) -> bool:
    """Whether this content type says JSON, or nothing."""
    return not kind or kind == b"application/json" or kind.endswith(b"+json")


def _reads(text: bytes) -> bool:
    try:
        str(text, "utf-8")
        _is_json(text)
    except NOT_READ:
        return False
    return True


def _described(head: Head, size: int, text: bytearray | None = None) -> bytes:
    """The result of a task whose answer is no JSON: what the answer is."""
    kind = head.header(b"content-type").decode("latin-1")
    said = {} if text is None else {"text": text.decode("utf-8", "replace")}
    return msgspec.json.encode({"content_type": kind, "bytes": size, **said})


def call_of(request: Request) -> Endpoint:
    """The call that a task is. BackendRejected if this oq does not know it any more."""
    call = ENDPOINTS.get(request.call or "")
    if call is None:
        raise BackendRejected(f"{request.call}: this version of oq does not know this call")
    return call


async def asks_stream(request: Request) -> bool:
    """Whether the caller of the task asked for a stream."""
    call = call_of(request)
    return await use_document(
        request.payload, request.headers, partial(call.dialect.asks_stream, call)
    )


def not_spoken(backend: Backend, call: Endpoint) -> BackendRejected:
    """What is said of a call that the backend does not speak, nor anybody translates."""
    text = (
        f"backend {backend.name!r} (of kind {backend.kind}) has no {call.path}: it does not speak"
        f" the API of {call.dialect.title}"
    )
    return BackendRejected(text, status=404, body=call.dialect.error(404, text))

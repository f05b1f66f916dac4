"""What a dialect is: one API whose calls oq takes as they are, and runs as tasks.

A backend that speaks a call's dialect gets the very bytes that its caller sent, except that chat
and generate always stream: closing the connection is the only way to stop them, and a call that
does not stream may run on after its caller has gone.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple, Protocol

import msgspec
from msgspec import Raw, Struct

from oq.dialects.answer_limit import MAX_ANSWER
from oq.rules.json_decoding import decode
from oq.rules.json_members import with_member
from oq.rules.surrogates import readable
from oq.words.errors import InvalidTask
from oq.words.outcome import Completed
from oq.words.stream import Piece
from oq.words.task import Body, TaskType

Emit = Callable[[bytes], None]
"""Called with each chunk of an answer as it comes: of a task, one JSON object in the form in which
Ollama sends it; of a call, the bytes for its caller. It never blocks."""

Headers = tuple[tuple[bytes, bytes], ...]


class Endpoint(Struct, frozen=True):
    """One call. `streams` is what it does when its body does not say; None: it never does."""

    path: str
    type: TaskType
    dialect: Dialect
    streams: bool | None


class AllowedRequest(NamedTuple):
    """A request that is not a task, and that oq passes on to a backend.

    `admin_effect` says what it changes, which `gateway.allow_admin` must allow; None if it only
    reads. If the last part of the path is in braces, `part` says what may stand for it, decoded.
    What is not `listed` is not in the document at /openapi.json. What `uploads` has a body of any
    size.
    """

    method: str
    path: str
    summary: str
    admin_effect: str | None = None
    part: re.Pattern[str] | None = None
    listed: bool = True
    uploads: bool = False


class Answer(Protocol):
    """What is made of the bytes of a streamed answer."""

    def feed(self, data: bytes) -> bool:
        """Take what has come; true once the answer is whole. BackendFailure if it is none."""
        ...

    def completed(self) -> Completed:
        """The whole answer. BackendFailure if it is none."""
        ...


class _Asked(Struct):
    """What oq itself has to know of a call."""

    model: str | None = None
    stream: bool | None = None


_ASKED = msgspec.json.Decoder(_Asked)
_OBJECT = msgspec.json.Decoder(dict[str, Raw])
_APART = frozenset({"model", "options", "stream"})


class Dialect(ABC):
    """One API. Where most APIs agree, its methods are here.

    `name` stands in metrics, `title` is for people. Paths that begin with one of `prefixes` belong
    to it; `allowed` lists the requests that are not calls. `json_type` and `stream_type` are
    content types, as servers of this API spell them. `no_retry` has headers that keep its clients
    from trying again by themselves. `error_shape` describes an error for /openapi.json; None: it is
    oq's own.
    """

    name: str
    title: str
    prefixes: tuple[str, ...]
    endpoints: tuple[Endpoint, ...]
    allowed: tuple[AllowedRequest, ...] = ()
    json_type: bytes = b"application/json"
    stream_type: bytes
    no_retry: Headers = ()
    error_shape: type[Struct] | None = None

    # -- what a caller asks

    def read(self, call: Endpoint, body: bytes) -> tuple[str, bool]:
        """The model, and whether the answer is to be streamed. InvalidTask if the body is not such
        a call; what else is wrong with it is for the backend to say.
        """
        asked = decode(_ASKED.decode, readable(body), any_number=True)
        if not asked.model:
            raise InvalidTask("", "model is required")
        if call.streams is None:
            return asked.model, False
        return asked.model, call.streams if asked.stream is None else asked.stream

    def upstream(self, call: Endpoint, body: bytes) -> bytes:
        """The body for a backend that speaks this dialect."""
        if call.streams is None or self.read(call, body)[1]:
            return body
        return with_member(body, "stream", b"true")

    def shown(self, body: bytes) -> Body:
        """The body of a call as payload and options, as other tasks have them."""
        return task_form(body)

    # -- what a backend answers

    @abstractmethod
    def streamed(
        self, call: Endpoint, emit: Emit, *, indexed: bool = False, limit: int = MAX_ANSWER
    ) -> Answer:
        """The streamed answer to a call: each frame is looked at, and then passed on to `emit` as
        it came. `indexed`: tool calls of a whole answer keep their `index`, as they do in Ollama's.
        `limit`: the bytes of memory that it may take.
        """

    @abstractmethod
    def whole(self, call: Endpoint, body: bytes) -> Completed:
        """The answer to a call that never streams; BackendFailure if it is none."""

    @abstractmethod
    def piece(self, frame: bytes) -> Piece:
        """What a frame of an answer says, for readers of the task's stream. It may be anything."""

    @abstractmethod
    def document(self, frame: bytes) -> bytes:
        """The JSON in a frame; in what is no frame there is none."""

    # -- what oq says itself

    @abstractmethod
    def error(self, status: int, message: str) -> bytes:
        """The body of an error with this HTTP status."""

    @abstractmethod
    def error_frame(self, message: str) -> bytes:
        """An error at the end of a stream that has begun."""

    @abstractmethod
    def progress(
        self, call: Endpoint, model: str, task_id: str, position: int, now: datetime
    ) -> bytes:
        """A whole chunk that says nothing but how many-th in line the task is: valid for clients
        that know no such thing, which is why it is a chunk at all.
        """

    def when_full(self, status: int, message: str) -> tuple[int, str]:
        """How it is said that the queue is full, if not as everything else."""
        return status, message

    @abstractmethod
    def separator(self, last: bytes) -> bytes:
        """What must come between the `last` bytes of a stream and a frame, so that it stands alone.

        A backend may break off behind any byte: an event without the blank line at its end would
        take in what follows, or at the end of the stream be lost.
        """

    @abstractmethod
    def is_whole(self, first: bytes, *, ends_line: bool) -> bool:
        """Whether an answer that was to stream, and begins with these bytes, is one whole object.
        `ends_line`: the chunk that they are of ends as a line does.
        """


def task_form(body: bytes) -> Body:
    """The body of a call as payload and options. If not everybody can read its numbers, both are
    empty.
    """
    text = readable(body)
    try:
        decode(_OBJECT.decode, text)
    except InvalidTask:
        return Body(b"{}")
    return split_body(text)


def split_body(body: bytes) -> Body:
    """The same of a body that can be decoded."""
    fields = _OBJECT.decode(readable(body))
    options = bytes(fields.get("options", b""))
    payload = {key: value for key, value in fields.items() if key not in _APART}
    return Body(msgspec.json.encode(payload), options if options[:1] == b"{" else b"{}")

"""What a dialect is: one API whose calls oq runs as tasks.

A backend that speaks the dialect of a call gets the bytes that the caller sent, and the caller gets
the bytes that the backend answers. What is kept of an answer is read beside them.
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
from oq.dialects.call_fields import CallFields, first_object, read_fields
from oq.dialects.model_lists import ListForm
from oq.rules.json_decoding import decode
from oq.rules.surrogates import readable
from oq.words.errors import InvalidTask
from oq.words.head import Head, Headers
from oq.words.outcome import Completed
from oq.words.stream import Piece
from oq.words.task import Body, TaskType, Waiting


class Emit(Protocol):
    """Takes an answer as it comes: a chunk and more that have come with it; of a call, before all
    that and alone, the head of the answer. A chunk of a call is the bytes that its caller gets, and
    of another task one JSON object in Ollama's form. It never blocks.
    """

    def __call__(self, said: bytes | Head, /, *more: bytes) -> None: ...


EmitFrame = Callable[[bytes], object]
"""Takes a chunk of an answer whose head has been given."""

Scrub = Callable[[bytes], bytes]
"""Takes the keys out of bytes that no model has generated."""


class Endpoint(Struct, frozen=True):
    """One endpoint. `streams`: whether it streams by default; None: it never streams. `any_type`:
    its answers may be other than JSON. `keeps`: they can be made in the background, and kept; see
    `oq.dialects.kept_response`. `model` is the name that a task has whose call does not name its
    model, if the server does not ask for one. `form`: its body is a form with files.
    """

    path: str
    type: TaskType
    dialect: Dialect
    streams: bool | None
    any_type: bool = False
    keeps: bool = False
    model: str | None = None
    form: bool = False


MODEL = ("model",)
"""The member that names the model in most APIs."""


class AllowedRequest(NamedTuple):
    """A request that is not a task, and that oq passes on to a backend.

    `admin_effect` says what it changes, which `gateway.allow_admin` must allow; None if it only
    reads. If the last part of the path is in braces, `part` says what may stand for it, decoded.
    What is not `listed` is not in the document at /openapi.json. What `uploads` has a body of any
    size. `model_in` are the members of its body, or of its query if it has no body, that name its
    model: the first one that says something counts. So does a last part of its path that is
    ``{model}``. `lists` says how the answer lists models, if it does: of several backends it is
    one list.
    """

    method: str
    path: str
    summary: str
    admin_effect: str | None = None
    part: re.Pattern[str] | None = None
    listed: bool = True
    uploads: bool = False
    model_in: tuple[str, ...] = ()
    lists: ListForm | None = None


class Answer(Protocol):
    """Reads the bytes of a streamed answer."""

    def feed(self, data: bytes) -> bool:
        """Take the next bytes. True when the answer is complete. BackendFailure if it is wrong."""
        ...

    def completed(self) -> Completed:
        """The complete answer. BackendFailure if it has not come to its end."""
        ...


class Reading(NamedTuple):
    """What oq reads of a call: the model, whether the caller wants a stream, and what of it decides
    whether a model in memory fits (see `oq.rules.load_options`).
    """

    model: str
    streams: bool
    load: str = ""


_OBJECT = msgspec.json.Decoder(dict[str, Raw])
_APART = frozenset({"model", "options", "stream"})


class Told(NamedTuple):
    """What an error behind a stream may go on from: the first part of it and the last, of one or
    more frames. They are empty if nothing is known.
    """

    first: bytes = b""
    last: bytes = b""


NOTHING_TOLD = Told()


class Dialect(ABC):
    """One API. What most APIs have in common is defined here.

    `name` stands in metrics, `title` is for people. To it belong the paths below one of `prefixes`
    (``/v1`` has ``/v1/a`` but not ``/v1a``), if no other dialect has a longer prefix of them.
    `allowed` lists the requests that are not calls. `json_type` and `stream_type` are content
    types, as servers of this API spell them. `no_retry` has headers that keep its clients from
    trying again by themselves. `any_case`: servers of this API read the names of a body's members
    in any case. `error_shape` describes an error for /openapi.json; None: it is oq's
    own.
    """

    name: str
    title: str
    prefixes: tuple[str, ...]
    endpoints: tuple[Endpoint, ...]
    allowed: tuple[AllowedRequest, ...] = ()
    json_type: bytes = b"application/json"
    stream_type: bytes
    no_retry: Headers = ()
    any_case: bool = False
    error_shape: type[Struct] | None = None

    # -- what a caller asks

    # A `document` is what oq reads of the body: see `oq.dialects.documents`.

    def read(self, call: Endpoint, document: bytes) -> Reading:
        """What the caller wants, as far as the document can be read. If that does not say the
        model, it is that of the endpoint; if there is none it is empty: the backend checks
        everything.
        """
        asked = read_fields(document, any_case=self.any_case)
        model, load = asked.model or call.model or "", self.load(call, asked)
        if call.streams is None:
            return Reading(model, False, load)
        return Reading(model, call.streams if asked.stream is None else asked.stream, load)

    def load(self, call: Endpoint, asked: CallFields) -> str:
        """What of the call decides whether a model in memory fits; empty where any does."""
        return ""

    def asks_stream(self, call: Endpoint, document: bytes) -> bool:
        """Whether the body asks for a stream, as far as that can be read."""
        return self.read(call, document).streams

    def shown(self, document: bytes) -> Body:
        """The body as payload and options: views of a task show it like this."""
        return task_form(document)

    # -- what a backend answers

    @abstractmethod
    def streamed(
        self, call: Endpoint, emit: EmitFrame, limit: int = MAX_ANSWER, scrub: Scrub = bytes
    ) -> Answer:
        """Reads the streamed answer to a call. `emit` gets each frame after it was checked: what
        can be read as a part of the answer unchanged, everything else as `scrub` gives it. `limit`
        is in bytes of memory.
        """

    @abstractmethod
    def begins_stream(self, first: bytes, *, asked: bool) -> bool | None:
        """Whether an answer that begins with these bytes is a stream; None if that is open until
        more has come: the network may cut it anywhere. It is asked where the content type does not
        tell; `asked`: the caller asked for a stream.
        """

    @abstractmethod
    def whole(self, call: Endpoint, body: bytes) -> Completed:
        """An answer that came in one piece, with what it says of its usage. BackendFailure or
        BackendRejected if it states an error; what cannot be read is no error.
        """

    @abstractmethod
    def piece(self, frame: bytes) -> Piece:
        """What one frame adds to the task's stream. The frame may be any bytes; an empty piece if
        nothing can be read from it.
        """

    @abstractmethod
    def text(self, result: object) -> str | None:
        """The text in the result of a task, which is decoded JSON. None if it is no answer of this
        dialect, or has no text, as an embedding has none.
        """

    @abstractmethod
    def document(self, frame: bytes) -> bytes:
        """The JSON in a frame; empty bytes if there is none."""

    # -- what oq says itself

    @abstractmethod
    def error(self, status: int, message: str) -> bytes:
        """The body of an error with this HTTP status."""

    @abstractmethod
    def error_frame(self, message: str, told: Told = NOTHING_TOLD) -> bytes:
        """An error at the end of a stream that has begun, and of which this much was told."""

    @abstractmethod
    def progress(
        self, call: Endpoint, model: str, task_id: str, waiting: Waiting, now: datetime
    ) -> bytes:
        """A frame that tells the caller where its task stands in the queue, and when it will start.
        Clients that do not know such frames read it as a chunk without text.
        """

    def when_full(self, status: int, message: str) -> tuple[int, str]:
        """The status and the text of the error that the queue is full. Some APIs have their own."""
        return status, message

    @abstractmethod
    def separator(self, last: bytes) -> bytes:
        """The bytes to send before a frame of oq's own, after a stream that ended with `last`.

        A backend may break off after any byte. Without the separator, a client would read the
        frame as a part of an unfinished one.
        """


def task_form(body: bytes) -> Body:
    """The body of a call as payload and options. Both are empty if the body cannot be read, or not
    everybody can read its numbers.
    """
    for text in (readable(body), first_object(body)):
        try:
            decode(_OBJECT.decode, text)
        except InvalidTask:
            continue
        return split_body(text)
    return Body(b"{}")


def split_body(body: bytes) -> Body:
    """The same of a body that can be decoded."""
    fields = _OBJECT.decode(readable(body))
    options = bytes(fields.get("options", b""))
    payload = {key: value for key, value in fields.items() if key not in _APART}
    return Body(msgspec.json.encode(payload), options if options[:1] == b"{" else b"{}")

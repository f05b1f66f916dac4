"""A response that oq makes in the background, and keeps. Pure.

https://platform.openai.com/docs/guides/background. A POST to /v1/responses with `background` is
answered at once, and the response is read later, by its id. No server that people run at home does
that, so oq does it for all of them, and a server gets the call as one in the foreground:

    background              is taken out. Ollama only says it again in its answer, and llama.cpp
                            does not look at it. vLLM and OpenAI would answer at once
                            themselves; vLLM refuses it where it keeps no responses
    store                   goes up as it came: it must be true or missing, and asks no server for
                            more than to keep its own copy. Ollama and llama.cpp do not look at it
    previous_response_id    is taken out if it is the id of a response that oq keeps: what was asked
                            and answered there goes before the new input. Ollama would pass over it,
                            and llama.cpp refuse it. Any other id is left to the server

(Ollama: openai/responses.go; llama.cpp: convert_responses_to_chatcmpl; vLLM: serving_responses.py.)
All other members of the body are the caller's own bytes.

The id of a response is ``resp_``, the 32 hex digits of its task's id, and 24 that are random. Ids
of tasks grow by one within a millisecond, so without the random part who has one could guess
others.
"""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Raw, Struct

from oq.dialects.answer_errors import error_text
from oq.dialects.framing import event_data
from oq.dialects.reading import UNREADABLE, Json, read, read_object, write
from oq.dialects.response_object import SAID_AGAIN, said_again
from oq.rules.surrogates import readable
from oq.words.errors import InvalidTask
from oq.words.from_json import NOT_READ
from oq.words.outcome import Refusal
from oq.words.task import Status, TaskState

_NAME = re.compile(r"resp_([0-9a-f]{32})([0-9a-f]{24})")
RANDOM = 12
"""Bytes of an id that are random."""
_CODES = {400: "invalid_prompt", 422: "invalid_prompt", 429: "rate_limit_exceeded"}
_STATUS = {
    Status.PENDING: "queued",
    Status.RUNNING: "in_progress",
    Status.COMPLETED: "completed",
    Status.FAILED: "failed",
    Status.CANCELLED: "cancelled",
}
_WHOLE = ("completed", "incomplete")
_RESPONSE = b'"response"'


class Wish(Struct):
    """What a body asks of whoever keeps responses. The values may be any JSON."""

    background: Any = None
    store: Any = None
    previous_response_id: Any = None


class Kept(Struct, frozen=True):
    """What a task has in its metadata that makes it a response to be kept: the random part of its
    id, and the response that it goes on from.
    """

    response: str
    previous_response_id: str | None = None


_WISH = msgspec.json.Decoder(Wish)
_MEMBERS = msgspec.json.Decoder(dict[str, Raw])


def read_wish(body: bytes) -> Wish:
    """The wish in a body; none if it cannot be read. InvalidTask if it cannot be granted."""
    if b'"background"' not in body and b'"previous_response_id"' not in body:
        return Wish()
    try:
        wish = _WISH.decode(readable(body))
    except NOT_READ:
        return Wish()
    if wish.background is True and wish.store is False:
        raise InvalidTask(
            "store", "a response in the background must be stored; leave `store` out or set it true"
        )
    return wish


def members(body: bytes | Raw) -> dict[str, Raw]:
    """The members of an object, as they were written; none if it cannot be read. Half a surrogate
    pair, which no text can have, is U+FFFD, as servers in Go read it.
    """
    try:
        return _MEMBERS.decode(readable(bytes(body)))
    except NOT_READ:
        pass
    found = read_object(body)
    return {} if found is None else _MEMBERS.decode(write(found))


def in_foreground(body: bytes) -> bytes:
    """The body without `background`; the other members keep their bytes and their order."""
    kept = {key: value for key, value in members(body).items() if key != "background"}
    return msgspec.json.encode(kept)


def response_id(task_id: str, secret: str) -> str:
    """The id of the response that this task makes."""
    return f"resp_{task_id.replace('-', '')}{secret}"


def task_of(name: str) -> str | None:
    """The id of the task that makes the response with this id; None if it cannot be an id of oq."""
    found = _NAME.fullmatch(name)
    return None if found is None else str(UUID(found[1]))


class KeptResponse(Struct, frozen=True, kw_only=True):
    """One response, as its task stands. `request` is the body that the server gets; `result` and
    `refusal` are what it answered.
    """

    kept: Kept
    state: TaskState
    request: bytes
    result: bytes | None = None
    refusal: Refusal | None = None

    @property
    def id(self) -> str:
        return response_id(self.state.id, self.kept.response)

    @property
    def streams(self) -> bool:
        """Whether its request asks for a stream."""
        return bytes(members(self.request).get("stream", b"")) == b"true"

    def document(self) -> bytes:
        """The response as it stands. One that has ended is the server's own, but for what oq says
        of it: see `restated`.
        """
        status = _STATUS[self.state.status]
        if self.state.status is not Status.COMPLETED:
            return self.as_of(status)
        made = members(self.result or b"")
        if not _is_response(made):
            return self.as_of(status)
        said = read(made.get("status", Raw(b"null")))
        whole = Raw(write(said if said in _WHOLE else status))
        return msgspec.json.encode({**self.restated(made), "status": whole})

    def as_of(self, status: str) -> bytes:
        """The response without any output, in this status."""
        error = self._error() if status == "failed" else None
        return write(
            {
                "id": self.id,
                "object": "response",
                "created_at": self._created,
                "status": status,
                "error": error,
                "incomplete_details": None,
                "model": self.state.terms.model,
                "output": [],
                **said_again(self._asked()),
                **self._ours(),
                "usage": None,
            }
        )

    def restated(self, response: dict[str, Raw]) -> dict[str, Raw]:
        """The server's response with what oq says of it: its id, when it was asked for, that it was
        made in the background and is stored, and what it goes on from.
        """
        ours = {"id": self.id, "created_at": self._created, **self._ours()}
        return response | {key: Raw(write(value)) for key, value in ours.items()}

    @property
    def _created(self) -> int:
        return int(self.state.created_at.timestamp())

    def _ours(self) -> Json:
        previous = self.kept.previous_response_id
        more = {} if previous is None else {"previous_response_id": previous}
        return {"background": True, "store": True, **more}

    def _asked(self) -> Json:
        asked = {key: read(raw) for key, raw in members(self.request).items() if key in SAID_AGAIN}
        return {key: value for key, value in asked.items() if value is not UNREADABLE}

    def _error(self) -> Json:
        refusal = self.refusal
        made = {} if refusal is None else members(refusal.body)
        match read(made.get("error", Raw(b"null"))):
            case {"code": str(code), "message": str(message)} if _is_response(made):
                return {"code": code, "message": message}
        if refusal is None or _is_response(made):
            text = self.state.error or "no reason was given"
            return {"code": "server_error", "message": text}
        code = _CODES.get(refusal.status or 0, "server_error")
        return {"code": code, "message": error_text(event_data(refusal.body) or refusal.body)}


def _is_response(made: dict[str, Raw]) -> bool:
    return bytes(made.get("object", b"")) == _RESPONSE


def input_items(request: bytes | Raw) -> list[Raw]:
    """The items of the input of a request: a text is a message of the user."""
    given = members(request).get("input", Raw(b"null"))
    if (said := read(given)) is UNREADABLE or said is None:
        return []
    if isinstance(said, str):
        return [Raw(write({"type": "message", "role": "user", "content": said}))]
    try:
        return msgspec.json.decode(given, type=list[Raw])
    except NOT_READ:
        return [Raw(write(item)) for item in said] if isinstance(said, list) else []


def going_on(body: bytes, earlier: KeptResponse) -> bytes:
    """The body with all that was asked and answered in an earlier response before its own input, as
    OpenAI does it: the instructions of that one are not carried over. InvalidTask if there is no
    answer to go on from.
    """
    field = "previous_response_id"
    if earlier.state.status is not Status.COMPLETED:
        status = _STATUS[earlier.state.status]
        raise InvalidTask(field, f"response {earlier.id!r} is {status}, not completed")
    answer = members(earlier.result or b"").get("output", Raw(b"[]"))
    try:
        said = msgspec.json.decode(answer, type=list[Raw])
    except NOT_READ:
        raise InvalidTask(field, f"response {earlier.id!r} has no output to go on from") from None
    items = [*input_items(earlier.request), *said, *input_items(body)]
    fields = {key: value for key, value in members(body).items() if key != field}
    return msgspec.json.encode({**fields, "input": items})


def not_found(name: str) -> bytes:
    """The body of the error that there is no response with this id."""
    text = f"Response with id {name[:100]!r} not found."
    error = {"message": text, "type": "invalid_request_error", "param": None, "code": None}
    return write({"error": error})


def deleted(name: str) -> bytes:
    """What is answered when the response with this id has been deleted."""
    return write({"id": name, "object": "response", "deleted": True})

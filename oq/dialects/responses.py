"""OpenAI's Responses API: POST /v1/responses.

https://platform.openai.com/docs/api-reference/responses. It shares its errors with the rest of
OpenAI's API (`oq.dialects.openai`), but not how an answer is framed: its events have a `type` and a
`sequence_number`, and no ``[DONE]`` ends them. So it is a dialect of its own.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct, to_builtins

from oq.dialects.base import NOTHING_TOLD, AllowedRequest, Endpoint, Told
from oq.dialects.events import EventFold
from oq.dialects.framing import End, Frames
from oq.dialects.openai import OpenAI
from oq.dialects.reading import Json, read_object
from oq.dialects.response_object import UNKNOWN_RESPONSE
from oq.dialects.responses_fold import FAILED, ResponsesFold, response_usage
from oq.dialects.stated_errors import failed_answer
from oq.rules.surrogates import readable
from oq.words.from_json import NOT_READ
from oq.words.outcome import Completed
from oq.words.stream import Piece
from oq.words.task import TaskType, Waiting

_TEXTS = frozenset({"response.output_text.delta", "response.refusal.delta"})
_THOUGHTS = frozenset({"response.reasoning_summary_text.delta", "response.reasoning_text.delta"})
_ARGUMENTS = "response.function_call_arguments.delta"
_ADDED = "response.output_item.added"
_NUMBER = re.compile(rb'"sequence_number": ?(\d{1,15})(?!\d)')
"""Within a text the quotes are escaped, so this finds none there."""


class _Item(Struct, frozen=True):
    type: str = ""
    call_id: str | None = None
    name: str | None = None


class _Said(Struct, frozen=True):
    type: str = ""
    delta: str = ""
    output_index: int = 0
    item: _Item | None = None


_SAID = msgspec.json.Decoder(_Said)


class Responses(OpenAI):
    """See `oq.dialects.base.Dialect`."""

    name = "responses"
    title = "OpenAI (Responses)"
    prefixes = ("/v1/responses",)
    allowed: tuple[AllowedRequest, ...] = ()

    def __init__(self) -> None:
        self.endpoints = (
            Endpoint("/v1/responses", TaskType.CHAT, self, streams=False, keeps=True),
        )

    def fold(self) -> EventFold:
        """See `EventDialect`."""
        return ResponsesFold()

    def whole(self, call: Endpoint, body: bytes) -> Completed:
        """See `Dialect`."""
        said = read_object(body) or {}
        if said.get("object") == "response" and said.get("status") in FAILED:
            raise failed_answer(body, said.get("error"))
        return super().whole(call, body)

    def completed(self, body: bytes) -> Completed:
        """See `EventDialect`."""
        return Completed(body, response_usage(read_object(body) or {}))

    def piece(self, frame: bytes) -> Piece:
        """See `Dialect`. Calls of functions are given as chat completions stream them."""
        try:
            said = _SAID.decode(readable(self.document(frame)))
        except NOT_READ:
            return Piece()
        if said.type in _TEXTS:
            return Piece(said.delta)
        if said.type in _THOUGHTS:
            return Piece("", said.delta or None)
        calls: list[Any] | None = None
        index, item = said.output_index, said.item
        if said.type == _ARGUMENTS and said.delta:
            calls = [{"index": index, "function": {"arguments": said.delta}}]
        elif said.type == _ADDED and item is not None and item.type == "function_call":
            function = {"name": item.name, "arguments": ""}
            calls = [{"index": index, "id": item.call_id, "type": "function", "function": function}]
        return Piece("", None, calls)

    def text(self, result: object) -> str | None:
        """See `Dialect`: the texts of its messages, one after the other."""
        match result:
            case {"object": "response", "output": [*items]}:
                return "".join(text for item in items for text in _texts(item)) or None
            case _:
                return None

    def error_frame(self, message: str, told: Told = NOTHING_TOLD) -> bytes:
        """See `Dialect`: the response that was begun has failed, with the next number. Some clients
        look for the error in the response, others beside it.
        """
        error = {"code": "server_error", "message": message}
        begun = self._begun(told.first)
        response = {**UNKNOWN_RESPONSE, **begun, "status": "failed", "error": error}
        numbers = _NUMBER.findall(told.last)
        number = int(numbers[-1]) + 1 if numbers else 0
        said = {"type": "response.failed", "sequence_number": number, "response": response}
        return event("response.failed", {**said, "error": error})

    def _begun(self, first: bytes) -> Json:
        """The response as the first of these events tells it; empty if none does."""
        for frame in Frames(End.EVENT).feed(first):
            response = (read_object(self.document(frame)) or {}).get("response")
            if isinstance(response, dict):
                return response
        return {}

    def progress(
        self, call: Endpoint, model: str, task_id: str, waiting: Waiting, now: datetime
    ) -> bytes:
        """See `Dialect`: a `keepalive`, which OpenAI sends too, and clients pass over."""
        said = {"type": "keepalive", "sequence_number": 0, **to_builtins(waiting)}
        return event("keepalive", said)


def event(name: str, data: object) -> bytes:
    """An event with this name, and its data as JSON."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), msgspec.json.encode(data))


def _texts(item: object) -> list[str]:
    match item:
        case {"type": "message", "content": [*parts]}:
            texts = [part.get("text") for part in parts if isinstance(part, dict)]
            return [text for text in texts if isinstance(text, str)]
        case _:
            return []


RESPONSES = Responses()

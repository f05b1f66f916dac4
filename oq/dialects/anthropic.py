"""Anthropic's API, as far as servers that run models have it: messages, and counting their tokens.

https://docs.anthropic.com/en/api/messages: streams are server-sent events with names, and the data
says the name again in `type`. Errors: https://docs.anthropic.com/en/api/errors. Ollama, llama.cpp
and vLLM have POST /v1/messages; llama.cpp and vLLM have /v1/messages/count_tokens too.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct, to_builtins

from oq.dialects.anthropic_fold import AnthropicFold, message_usage
from oq.dialects.base import MODEL, NOTHING_TOLD, AllowedRequest, Endpoint, Told
from oq.dialects.events import EventDialect, EventFold
from oq.dialects.reading import read_object
from oq.rules.surrogates import readable
from oq.words.from_json import NOT_READ
from oq.words.outcome import Completed
from oq.words.stream import Piece
from oq.words.task import TaskType, Waiting

OVERLOADED = 529
"""Anthropic's own status for "try again later"."""

_KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    OVERLOADED: "overloaded_error",
}


class AnthropicErrorAnswer(Struct, frozen=True):
    """An error in Anthropic's form: `type` is "error", and `error` has a `type` and a `message`."""

    type: str
    error: dict[str, str]


class _Block(Struct, frozen=True):
    type: str = ""
    text: str | None = None
    thinking: str | None = None
    partial_json: str | None = None
    id: str | None = None
    name: str | None = None


class _Said(Struct, frozen=True):
    type: str = ""
    index: int = 0
    content_block: _Block | None = None
    delta: _Block | None = None


_SAID = msgspec.json.Decoder(_Said)


class Anthropic(EventDialect):
    """See `oq.dialects.base.Dialect`."""

    name = "anthropic"
    title = "Anthropic"
    prefixes = ("/v1/messages",)
    allowed = (
        AllowedRequest(
            "POST",
            "/v1/messages/count_tokens",
            "Count the tokens of a message",
            model_in=MODEL,
        ),
    )
    no_retry = ((b"x-should-retry", b"false"),)
    error_shape = AnthropicErrorAnswer

    def __init__(self) -> None:
        self.endpoints = (Endpoint("/v1/messages", TaskType.CHAT, self, streams=False),)

    def fold(self) -> EventFold:
        """See `EventDialect`."""
        return AnthropicFold()

    def completed(self, body: bytes) -> Completed:
        """See `EventDialect`."""
        return Completed(body, message_usage(read_object(body) or {}))

    def piece(self, frame: bytes) -> Piece:
        """See `Dialect`. Calls of tools are given as OpenAI streams them."""
        try:
            said = _SAID.decode(readable(self.document(frame)))
        except NOT_READ:
            return Piece()
        bit = said.delta or said.content_block
        if bit is None:
            return Piece()
        calls: list[Any] | None = None
        if bit.type == "tool_use":
            function = {"name": bit.name, "arguments": ""}
            calls = [{"index": said.index, "id": bit.id, "type": "function", "function": function}]
        elif bit.partial_json:
            calls = [{"index": said.index, "function": {"arguments": bit.partial_json}}]
        return Piece(bit.text or "", bit.thinking or None, calls)

    def text(self, result: object) -> str | None:
        """See `Dialect`: the texts of the message, one after the other."""
        match result:
            case {"type": "message", "content": [*blocks]}:
                texts = [block.get("text") for block in blocks if isinstance(block, dict)]
                return "".join(text for text in texts if isinstance(text, str)) or None
            case _:
                return None

    def error(self, status: int, message: str) -> bytes:
        """See `Dialect`."""
        kind = _KINDS.get(status, "api_error" if status >= 500 else "invalid_request_error")
        return msgspec.json.encode({"type": "error", "error": {"type": kind, "message": message}})

    def error_frame(self, message: str, told: Told = NOTHING_TOLD) -> bytes:
        """See `Dialect`."""
        return b"event: error\ndata: " + self.error(500, message) + b"\n\n"

    def progress(
        self, call: Endpoint, model: str, task_id: str, waiting: Waiting, now: datetime
    ) -> bytes:
        """See `Dialect`: a `ping`, which clients of this API pass over."""
        ping = msgspec.json.encode({"type": "ping", **to_builtins(waiting)})
        return b"event: ping\ndata: " + ping + b"\n\n"

    def when_full(self, status: int, message: str) -> tuple[int, str]:
        """As Anthropic says it itself."""
        return OVERLOADED, message


ANTHROPIC = Anthropic()

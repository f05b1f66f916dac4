"""OpenAI's API, as far as servers that run models share it.

https://platform.openai.com/docs/api-reference: streams are server-sent events that end with
``data: [DONE]``, errors are objects: https://platform.openai.com/docs/guides/error-codes
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct, to_builtins

from oq.dialects.base import NOTHING_TOLD, AllowedRequest, Endpoint, Told
from oq.dialects.deltas import index_of
from oq.dialects.events import EventDialect, EventFold
from oq.dialects.marked_fold import DONE
from oq.dialects.model_lists import ListForm
from oq.dialects.openai_fold import OpenAIFold, openai_answer, said_in
from oq.dialects.reading import read_object, whole_text
from oq.words.from_json import NOT_READ
from oq.words.outcome import Completed
from oq.words.stream import Piece
from oq.words.task import TaskType, Waiting

_MODEL = re.compile(r"[^%?#\\]+")
"""There may be slashes in it."""
_LIST = ListForm("data", "id", b'"object":"list",')
_KINDS = {
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    429: "rate_limit_error",
}


class OpenAIErrorAnswer(Struct, frozen=True):
    """An error in OpenAI's form: an object with `message`, `type`, `param` and `code`."""

    error: dict[str, Any]


class _Message(Struct, frozen=True):
    """What a choice says: a `delta` of it, or in an answer that is whole the `message`."""

    content: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[Any] | None = None


class _Choice(Struct, frozen=True):
    index: int = 0
    delta: _Message | None = None
    message: _Message | None = None
    text: str | None = None


class _Said(Struct, frozen=True):
    choices: list[_Choice] = []


_NO_CHOICE, _NO_MESSAGE = _Choice(), _Message()
_SAID = msgspec.json.Decoder(_Said)


class OpenAI(EventDialect):
    """See `oq.dialects.base.Dialect`."""

    name = "openai"
    title = "OpenAI"
    prefixes: tuple[str, ...] = ("/v1/",)
    allowed: tuple[AllowedRequest, ...] = (
        AllowedRequest("GET", "/v1/models", "List the models, in OpenAI's form", lists=_LIST),
        AllowedRequest("GET", "/v1/models/{model}", "Show one model", part=_MODEL),
    )
    no_retry = ((b"x-should-retry", b"false"),)
    error_shape = OpenAIErrorAnswer

    def __init__(self) -> None:
        self.endpoints = (
            Endpoint("/v1/chat/completions", TaskType.CHAT, self, streams=False),
            Endpoint("/v1/completions", TaskType.GENERATE, self, streams=False),
            Endpoint("/v1/embeddings", TaskType.EMBED, self, streams=None),
        )

    def fold(self) -> EventFold:
        """See `EventDialect`."""
        return OpenAIFold()

    def completed(self, body: bytes) -> Completed:
        """See `EventDialect`."""
        return openai_answer(body)

    def piece(self, frame: bytes) -> Piece:
        """See `Dialect`: of several choices that of the first."""
        said = self.document(frame)
        if not said or said == DONE:
            return Piece()
        try:
            choices = _SAID.decode(said).choices
        except NOT_READ:
            return _odd_piece(said)
        choice = next((each for each in choices if each.index == 0), _NO_CHOICE)
        message = choice.delta or choice.message or _NO_MESSAGE
        return Piece(
            message.content or choice.text or "",
            message.reasoning_content or message.reasoning or None,
            message.tool_calls or None,
        )

    def text(self, result: object) -> str | None:
        """See `Dialect`: of several choices that of the first."""
        match result:
            case {"choices": [{"message": dict()} as choice, *_]} if text := said_in(choice)[0]:
                return text
            case {"choices": [{"text": str(text)}, *_]}:
                return text
            case _:
                return None

    def error(self, status: int, message: str) -> bytes:
        """See `Dialect`."""
        kind = _KINDS.get(status, "api_error" if status >= 500 else "invalid_request_error")
        error = {"message": message, "type": kind, "param": None, "code": None}
        return msgspec.json.encode({"error": error})

    def error_frame(self, message: str, told: Told = NOTHING_TOLD) -> bytes:
        """See `Dialect`."""
        return b"data: " + self.error(500, message) + b"\n\n"

    def progress(
        self, call: Endpoint, model: str, task_id: str, waiting: Waiting, now: datetime
    ) -> bytes:
        """See `Dialect`."""
        chat = call.type is TaskType.CHAT
        delta = {"delta": {"role": "assistant", "content": ""}} if chat else {"text": ""}
        chunk = {
            "id": f"{'chatcmpl' if chat else 'cmpl'}-{task_id}",
            "object": "chat.completion.chunk" if chat else "text_completion",
            "created": int(now.timestamp()),
            "model": model,
            "choices": [{"index": 0, **delta, "logprobs": None, "finish_reason": None}],
            **to_builtins(waiting),
        }
        return b"data: " + msgspec.json.encode(chunk) + b"\n\n"


def _odd_piece(data: bytes) -> Piece:
    """What can be read of an event that not everybody can read, or that has its text in parts."""
    choices = (read_object(data) or {}).get("choices")
    for choice in choices if isinstance(choices, list) else ():
        if isinstance(choice, dict) and not index_of(choice.get("index")):
            text, thinking = map(whole_text, said_in(choice))
            message = choice.get("delta") or choice.get("message")
            calls = message.get("tool_calls") if isinstance(message, dict) else None
            return Piece(text, thinking or None, calls if isinstance(calls, list) else None)
    return Piece()


OPENAI = OpenAI()

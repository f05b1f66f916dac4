"""Ollama's own API: https://github.com/ollama/ollama/blob/main/docs/api.md

Chat and generate stream lines of JSON unless their body says otherwise; an error is an object with
a text, ``{"error": "..."}``, and in the middle of a stream a line of that.
"""

from __future__ import annotations

import re
from datetime import datetime

import msgspec
from msgspec import to_builtins

from oq.dialects.answer_limit import MAX_ANSWER
from oq.dialects.base import (
    NOTHING_TOLD,
    AllowedRequest,
    Answer,
    Dialect,
    EmitFrame,
    Endpoint,
    Scrub,
    Told,
)
from oq.dialects.call_fields import CallFields
from oq.dialects.model_lists import ListForm
from oq.dialects.ollama_fold import FoldedLines, ollama_answer
from oq.dialects.reading import beginning, read_object, whole_text
from oq.dialects.stated_errors import check_stated
from oq.rules.load_options import load_text
from oq.rules.stream_log import piece_of
from oq.words.from_json import NOT_READ
from oq.words.outcome import Completed
from oq.words.stream import Piece
from oq.words.task import TaskType, Waiting

BUSY = "server busy, please try again.  maximum pending requests exceeded"
"""Ollama's own words, two spaces included, which clients look for."""

_DIGEST = re.compile(r"[0-9a-z]+[:-][0-9A-Fa-f]+")
_KEY = re.compile(r"[0-9A-Za-z_=-]+")
_MODELS = "changes the models of the backend"
_ACCOUNT = "is about the backend's account at ollama.com"
_NAMED = ("model", "name")
"""What names the model, and what named it in older versions."""
_LIST = ListForm("models", "name")


class Ollama(Dialect):
    """See `oq.dialects.base.Dialect`."""

    name = "ollama"
    title = "Ollama"
    prefixes = ("/api/",)
    json_type = b"application/json; charset=utf-8"
    stream_type = b"application/x-ndjson"
    any_case = True

    def __init__(self) -> None:
        self.endpoints = (
            Endpoint("/api/chat", TaskType.CHAT, self, streams=True),
            Endpoint("/api/generate", TaskType.GENERATE, self, streams=True),
            Endpoint("/api/embed", TaskType.EMBED, self, streams=None),
            Endpoint("/api/embeddings", TaskType.EMBED, self, streams=None),
        )
        self.allowed = (
            AllowedRequest("GET", "/api/tags", "List the models", lists=_LIST),
            AllowedRequest("GET", "/api/ps", "List the models in memory", lists=_LIST),
            AllowedRequest("GET", "/api/version", "Show the version of the backend"),
            AllowedRequest("POST", "/api/show", "Show the details of a model", model_in=_NAMED),
            AllowedRequest("POST", "/api/pull", "Download a model", _MODELS),
            AllowedRequest("POST", "/api/push", "Publish a model", _MODELS, model_in=_NAMED),
            AllowedRequest("POST", "/api/create", "Create a model", _MODELS),
            AllowedRequest("POST", "/api/copy", "Copy a model", _MODELS, model_in=("source",)),
            AllowedRequest("DELETE", "/api/delete", "Delete a model", _MODELS, model_in=_NAMED),
            AllowedRequest("HEAD", "/api/blobs/{digest}", "Check that a file exists", part=_DIGEST),
            AllowedRequest(
                "POST", "/api/blobs/{digest}", "Upload a file", _MODELS, _DIGEST, uploads=True
            ),
            AllowedRequest("POST", "/api/me", "Show the signed-in account", _ACCOUNT),
            AllowedRequest("POST", "/api/signout", "Sign out", _ACCOUNT),
            AllowedRequest("DELETE", "/api/user/keys/{key}", "Sign out", _ACCOUNT, _KEY),
            # How a call is asked Ollama itself says to whom asks otherwise.
            *(AllowedRequest("GET", call.path, "", listed=False) for call in self.endpoints),
        )

    def load(self, call: Endpoint, asked: CallFields) -> str:
        """See `Dialect`."""
        return load_text(asked.options, b"" if call.type is TaskType.EMBED else asked.shift)

    def streamed(
        self, call: Endpoint, emit: EmitFrame, limit: int = MAX_ANSWER, scrub: Scrub = bytes
    ) -> Answer:
        """See `Dialect`."""
        return FoldedLines(call.type, emit, limit, scrub)

    def whole(self, call: Endpoint, body: bytes) -> Completed:
        """See `Dialect`."""
        check_stated(body)
        return ollama_answer(body)

    def piece(self, frame: bytes) -> Piece:
        """See `Dialect`."""
        try:
            return piece_of(frame)
        except NOT_READ:
            return _odd_piece(frame)

    def text(self, result: object) -> str | None:
        """See `Dialect`."""
        match result:
            case {"message": {"content": str(text)}} if text:
                return text
            case {"response": str(text)}:
                return text
            case _:
                return None

    def document(self, frame: bytes) -> bytes:
        """See `Dialect`."""
        return frame

    def error(self, status: int, message: str) -> bytes:
        """See `Dialect`."""
        return msgspec.json.encode({"error": message})

    def error_frame(self, message: str, told: Told = NOTHING_TOLD) -> bytes:
        """See `Dialect`."""
        return self.error(500, message) + b"\n"

    def progress(
        self, call: Endpoint, model: str, task_id: str, waiting: Waiting, now: datetime
    ) -> bytes:
        """See `Dialect`."""
        said: dict[str, object] = {"response": ""}
        if call.type is TaskType.CHAT:
            said = {"message": {"role": "assistant", "content": ""}}
        head = {"model": model, "created_at": now, **said, "done": False}
        return msgspec.json.encode({**head, **to_builtins(waiting)}) + b"\n"

    def when_full(self, status: int, message: str) -> tuple[int, str]:
        """As Ollama says it itself."""
        return 503, BUSY

    def begins_stream(self, first: bytes, *, asked: bool) -> bool | None:
        """See `Dialect`. What Ollama does not stream, such as what only loads a model, has no line
        end.
        """
        begin = beginning(first)
        if not asked or not (begin is None or begin.startswith(b"{")):
            return False
        return True if begin and b"\n" in begin else None

    def separator(self, last: bytes) -> bytes:
        """See `Dialect`."""
        return b"" if not last or last.endswith(b"\n") else b"\n"


def _odd_piece(line: bytes) -> Piece:
    """What can be read of a line that not everybody can read."""
    said = read_object(line) or {}
    message = said.get("message")
    message = message if isinstance(message, dict) else said
    texts = [message.get("content"), said.get("response"), message.get("thinking")]
    content, response, thinking = (each if isinstance(each, str) else "" for each in texts)
    return Piece(whole_text(content or response), whole_text(thinking) or None)


OLLAMA = Ollama()

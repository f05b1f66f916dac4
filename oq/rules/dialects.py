"""What oq itself says to callers, in the words of the API that they called. Pure.

Ollama's errors are ``{"error": "..."}``: https://github.com/ollama/ollama/blob/main/docs/api.md.
OpenAI's are objects: https://platform.openai.com/docs/guides/error-codes. In the middle of a stream
the one is a line, the other an event.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from oq.words.endpoints import Dialect, Endpoint
from oq.words.task import TaskType

BUSY = "server busy, please try again.  maximum pending requests exceeded"
"""Ollama's own words, two spaces included, which clients look for."""

_KINDS = {
    400: "invalid_request_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    429: "rate_limit_error",
}


def error_body(dialect: Dialect, status: int, message: str) -> bytes:
    """The body of an answer with this status."""
    if dialect is Dialect.OLLAMA:
        return msgspec.json.encode({"error": message})
    error = {"message": message, "type": _KINDS.get(status, "api_error"), "param": None}
    return msgspec.json.encode({"error": {**error, "code": None}})


def error_frame(dialect: Dialect, message: str) -> bytes:
    """An error at the end of a stream that has begun."""
    body = error_body(dialect, 500, message)
    return body + b"\n" if dialect is Dialect.OLLAMA else b"data: " + body + b"\n\n"


def apart(dialect: Dialect, said: bytes) -> bytes:
    """What must come after the last bytes of a stream, so that a frame which follows stands alone.

    A backend may break off behind any byte: an event without the blank line at its end would take
    in what follows, or at the end of the stream be lost.
    """
    ends, end = {
        Dialect.OLLAMA: ((b"\n",), b"\n"),
        Dialect.OPENAI: ((b"\n\n", b"\n\r\n"), b"\n\n"),
    }[dialect]
    return b"" if not said or said.endswith(ends) else end


def progress_frame(call: Endpoint, model: str, task_id: str, position: int, now: datetime) -> bytes:
    """A whole chunk that says nothing but how many-th in line the task is: valid for clients that
    know no such thing, which is why it is a chunk at all.
    """
    if call.dialect is Dialect.OLLAMA:
        said: dict[str, object] = {"response": ""}
        if call.type is TaskType.CHAT:
            said = {"message": {"role": "assistant", "content": ""}}
        head = {"model": model, "created_at": now, **said, "done": False}
        return msgspec.json.encode({**head, "queue_position": position}) + b"\n"
    chat = call.type is TaskType.CHAT
    delta = {"delta": {"role": "assistant", "content": ""}} if chat else {"text": ""}
    chunk = {
        "id": f"{'chatcmpl' if chat else 'cmpl'}-{task_id}",
        "object": "chat.completion.chunk" if chat else "text_completion",
        "created": int(now.timestamp()),
        "model": model,
        "choices": [{"index": 0, **delta, "logprobs": None, "finish_reason": None}],
        "queue_position": position,
    }
    return b"data: " + msgspec.json.encode(chunk) + b"\n\n"

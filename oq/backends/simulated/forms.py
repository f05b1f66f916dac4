"""How each of the simulated server's APIs says an error, and the content type of its JSON.

The dialects are not asked for it: this server is the other side, and oq is tested against it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec

OLLAMA_JSON = "application/json; charset=utf-8"
"""The type of JSON, as Ollama's framework spells it; llama.cpp spells it the same."""

KILLED = "an error was encountered while running the model: unexpected EOF"
"""What Ollama says when the process that has the model dies."""

NO_FIELDS: Mapping[str, Any] = MappingProxyType({})

_OPENAI = {400: "invalid_request_error", 404: "not_found_error"}
_LLAMA = {
    **_OPENAI,
    401: "authentication_error",
    403: "permission_error",
    501: "not_supported_error",
    503: "unavailable_error",
}
_ANTHROPIC = {
    **_OPENAI,
    401: "authentication_error",
    403: "permission_error",
    429: "rate_limit_error",
    503: "overloaded_error",
    529: "overloaded_error",
}


def ollama_error(status: int, message: str, fields: Mapping[str, Any] = NO_FIELDS) -> bytes:
    """The body of an error in Ollama's form."""
    return msgspec.json.encode({"error": message, **fields})


def openai_error(status: int, message: str, fields: Mapping[str, Any] = NO_FIELDS) -> bytes:
    """The body of an error in OpenAI's form, with the types that Ollama gives."""
    kind = _OPENAI.get(status, "api_error")
    error = {"message": message, "type": kind, "param": None, "code": None, **fields}
    return msgspec.json.encode({"error": error})


def anthropic_error(status: int, message: str, fields: Mapping[str, Any] = NO_FIELDS) -> bytes:
    """The body of an error in Anthropic's form, as Ollama gives it."""
    error = {"type": _ANTHROPIC.get(status, "api_error"), "message": message, **fields}
    document = {"type": "error", "error": error, "request_id": "req_simulated"}
    return msgspec.json.encode(document)


def llama_error(status: int, message: str, fields: Mapping[str, Any] = NO_FIELDS) -> bytes:
    """The body of an error in llama.cpp's form."""
    kind = _LLAMA.get(status, "server_error")
    return msgspec.json.encode(
        {"error": {"code": status, "message": message, "type": kind, **fields}}
    )


class Form(NamedTuple):
    """How an API says errors, and its content type of JSON; and whether llama.cpp has it too."""

    error: Callable[[int, str, Mapping[str, Any]], bytes]
    json_type: str
    in_llama: bool = True


_FORMS = (
    ("/v1/messages", Form(anthropic_error, "application/json")),
    ("/v1/", Form(openai_error, "application/json")),
    ("/api/", Form(ollama_error, OLLAMA_JSON, in_llama=False)),
    ("/simulator/", Form(ollama_error, OLLAMA_JSON)),
)
"""By the beginning of a path, the longest first."""
_OTHER = Form(llama_error, OLLAMA_JSON)
"""Of the paths that only llama.cpp has: they have no prefix in common."""


def form_of(path: str) -> Form:
    """The form of the API that `path` belongs to."""
    return next((form for prefix, form in _FORMS if path.startswith(prefix)), _OTHER)


def error_body(
    path: str, status: int, message: str, fields: Mapping[str, Any] = NO_FIELDS
) -> bytes:
    """The body of an error, in the form of the API that `path` belongs to."""
    return form_of(path).error(status, message, fields)


def json_type(path: str) -> str:
    """The content type of JSON in the API that `path` belongs to."""
    return form_of(path).json_type

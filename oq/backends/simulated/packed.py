"""Reads bodies that are zstd where Ollama does: those of its calls of other APIs, and no others."""

from __future__ import annotations

from oq.backends.simulated.connection import HttpRequest
from oq.backends.simulated.reading import Refused
from oq.dialects.inflating import Unreadable, inflate_of

MAX_BODY = 20 * 1024 * 1024
"""Bytes that such a body may say."""

_PATHS = frozenset(
    {
        "/v1/chat/completions",
        "/v1/completions",
        "/v1/embeddings",
        "/v1/messages",
        "/v1/responses",
    }
)


def unpacked(request: HttpRequest) -> bytes:
    """The body, as far as it is read. Refused with 400 if it is no zstd, or is too large."""
    encoding = next((v for name, v in request.headers if name.lower() == "content-encoding"), "")
    inflate = inflate_of(b"zstd")
    if encoding != "zstd" or request.path not in _PATHS or inflate is None:
        return request.body
    said = bytearray()
    try:
        for piece in inflate(memoryview(request.body), MAX_BODY):
            said += piece
            if len(said) > MAX_BODY:
                raise Refused(400, "http: request body too large")
    except Unreadable as error:
        raise Refused(400, f"invalid input: {error}") from None
    return bytes(said)

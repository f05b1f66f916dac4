"""Describes the gateway's requests for the document at /openapi.json.

What is in their bodies is described by those whose APIs they are:
https://github.com/ollama/ollama/blob/main/docs/api.md, https://platform.openai.com/docs/api-reference
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from oq.http.gateway.allowlist import ALLOWED
from oq.http.gateway.calls import CallHandler
from oq.http.gateway.proxy import Proxy
from oq.http.routes import Parameter, Route
from oq.http.streaming import EVENT_STREAM
from oq.http.streams import NDJSON
from oq.words.endpoints import ENDPOINTS, Dialect, Endpoint


class OpenAIErrorAnswer(Struct, frozen=True):
    """What went wrong, as OpenAI says it: an object with `message`, `type`, `param` and `code`."""

    error: dict[str, Any]


_HEADERS = (
    Parameter("X-OQ-Priority", "0 to 100, or low, normal, high, critical"),
    Parameter("X-OQ-Timeout", "what the whole attempt may take: a Go duration, or seconds"),
    Parameter("X-OQ-Detach", "true: it goes on when its caller has gone"),
    Parameter("X-OQ-Progress", "true: a stream that waits begins with chunks of `queue_position`"),
    Parameter(
        "Idempotency-Key",
        "a second call with the same key and body joins in the first one, or gets its answer",
    ),
)


def _name(method: str, path: str) -> str:
    """ "post_api_chat": one for each of them."""
    parts = path.replace("{", "").replace("}", "").strip("/").split("/")
    return "_".join([method.lower(), *parts])


def _error(path: str) -> Any:
    return OpenAIErrorAnswer if path.startswith("/v1/") else None


def _task(call: Endpoint) -> Route:
    stream = NDJSON if call.dialect is Dialect.OLLAMA else EVENT_STREAM
    return Route(
        "POST",
        call.path,
        CallHandler.serve,
        f"A {call.type} task, as a client of {call.dialect.value.title()} asks for it",
        {200: ("What the backend answers; X-OQ-Task-ID names the task", dict[str, Any])},
        errors=(400, 404, 409, 413, 429, 502, 503),
        headers=_HEADERS,
        body=dict[str, Any],
        also_gives=() if call.streams is None else (stream,),
        name=_name("POST", call.path),
        error=_error(call.path),
    )


def _passed(method: str, path: str, summary: str, *errors: int) -> Route:
    return Route(
        method,
        path,
        Proxy.serve,
        summary,
        {200: ("What the backend answers", None if method == "HEAD" else dict[str, Any])},
        errors=(404, 502, *errors),
        body=dict[str, Any] if method == "POST" else None,
        name=_name(method, path),
        error=_error(path),
    )


def _all() -> Iterator[Route]:
    yield from map(_task, ENDPOINTS.values())
    for allowed in ALLOWED:
        if allowed.admin_effect is None:
            yield _passed(allowed.method, allowed.path, allowed.summary)
        else:
            summary = f"{allowed.summary}; only with gateway.allow_admin"
            yield _passed(allowed.method, allowed.path, summary, 403)


GATEWAY = tuple(_all())

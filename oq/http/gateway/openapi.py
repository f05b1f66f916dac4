"""Describes the gateway's requests for the document at /openapi.json.

What is in their bodies is described by those whose APIs they are:
https://github.com/ollama/ollama/blob/main/docs/api.md, https://platform.openai.com/docs/api-reference
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from oq.dialects import DIALECTS, ENDPOINTS, Dialect, Endpoint
from oq.dialects.base import AllowedRequest
from oq.http.gateway.calls import CallHandler
from oq.http.gateway.proxy import Proxy
from oq.http.routes import Parameter, Route

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


def _task(call: Endpoint) -> Route:
    dialect = call.dialect
    return Route(
        "POST",
        call.path,
        CallHandler.serve,
        f"A {call.type} task, as a client of {dialect.title} asks for it",
        {200: ("What the backend answers; X-OQ-Task-ID names the task", dict[str, Any])},
        errors=(400, 404, 409, 413, 429, 502, 503),
        headers=_HEADERS,
        body=dict[str, Any],
        also_gives=() if call.streams is None else (dialect.stream_type.decode(),),
        name=_name("POST", call.path),
        error=dialect.error_shape,
    )


def _passed(dialect: Dialect, allowed: AllowedRequest) -> Route:
    method, path, admin = allowed.method, allowed.path, allowed.admin_effect is not None
    return Route(
        method,
        path,
        Proxy.serve,
        allowed.summary + ("; only with gateway.allow_admin" if admin else ""),
        {200: ("What the backend answers", None if method == "HEAD" else dict[str, Any])},
        errors=(404, 502, *((403,) if admin else ())),
        body=dict[str, Any] if method == "POST" else None,
        name=_name(method, path),
        error=dialect.error_shape,
    )


def _all() -> Iterator[Route]:
    yield from map(_task, ENDPOINTS.values())
    for dialect in DIALECTS:
        yield from (_passed(dialect, allowed) for allowed in dialect.allowed if allowed.listed)


GATEWAY = tuple(_all())

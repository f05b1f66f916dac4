"""Describes the gateway's requests for the document at /openapi.json.

Ollama and OpenAI describe the bodies:
https://github.com/ollama/ollama/blob/main/docs/api.md, https://platform.openai.com/docs/api-reference
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from oq.dialects import DIALECTS, ENDPOINTS, Dialect, Endpoint
from oq.dialects.base import AllowedRequest
from oq.dialects.translate import is_translated
from oq.http import shapes
from oq.http.gateway.background_routes import kept_routes
from oq.http.gateway.calls import CallHandler
from oq.http.gateway.proxy import Proxy
from oq.http.route import MAX_WAIT, Parameter, Route
from oq.words.task import TaskType

_HEADERS = (
    Parameter(
        "X-OQ-Priority",
        "the task's priority: 0 to 100, or low, normal, high, critical",
        shapes.PriorityText,
    ),
    Parameter(
        "X-OQ-Tenant",
        "for whom the call is, where there is fairness between tenants (`fairness`)",
        shapes.Tenant,
    ),
    Parameter(
        "X-OQ-Session",
        "a name of the conversation that the call is a part of. Of several backends that have the"
        " model in memory it goes to the one that served this conversation last",
    ),
    Parameter(
        "X-OQ-Timeout",
        "how long the client waits for all of the answer, the time in line and retries included:"
        " seconds, or a Go duration such as 5m. With X-OQ-Detach it is for each attempt",
        shapes.Timeout,
    ),
    MAX_WAIT,
    Parameter(
        "X-OQ-Detach",
        "true: the task goes on if the client disconnects",
        shapes.Flag,
    ),
    Parameter(
        "X-OQ-Progress",
        "true: while a streaming request waits, it receives chunks with its `queue_position` and"
        " its `eta`",
        shapes.Flag,
    ),
    Parameter(
        "Idempotency-Key",
        "a text that identifies the request. A second request with the same key and body makes no"
        " second task: it receives the answer of the first",
        shapes.Key,
    ),
)


_KEEPS = " With `background` it answers at once, and the response is read later by its id."
_TRANSLATED = (
    " For a server that lacks the path, oq translates the request; the header X-OQ-Left-Out of the"
    " answer names what was left out of it."
)
_OTHERS = "The backend's own answer: its status, its body, and the headers that pass"
_AN = frozenset({TaskType.EMBED, TaskType.IMAGE})
"""Types that begin with a vowel."""


def _name(method: str, path: str) -> str:
    """ "post_api_chat": one for each of them."""
    parts = path.replace("{", "").replace("}", "").strip("/").split("/")
    return "_".join([method.lower(), *parts])


def _task(call: Endpoint) -> Route:
    dialect, article = call.dialect, "an" if call.type in _AN else "a"
    return Route(
        "POST",
        call.path,
        CallHandler.serve,
        f"Run a request of {dialect.title}'s API as {article} {call.type} task",
        {
            200: (
                "The backend's answer; the header X-OQ-Task-ID has the task's id, and X-OQ-ETA in"
                " how many seconds it was expected to start",
                dict[str, Any],
            )
        },
        errors=(400, 404, 409, 413, 429, 502, 503, 504),
        headers=_HEADERS,
        body=shapes.Call if call.model is None else shapes.OpenCall,
        also_takes={"multipart/form-data": "a form with its files"} if call.form else {},
        others=_OTHERS,
        also_gives=() if call.streams is None else (dialect.stream_type.decode(),),
        name=_name("POST", call.path),
        description="oq puts the request into the queue and answers with the backend's answer. The"
        f" documentation of {dialect.title}'s API describes the body and the answer."
        + (_KEEPS if call.keeps else "")
        + (_TRANSLATED if is_translated(call) else ""),
        error=dialect.error_shape,
    )


def _passed(dialect: Dialect, allowed: AllowedRequest) -> Route:
    method, path, admin = allowed.method, allowed.path, allowed.admin_effect is not None
    return Route(
        method,
        path,
        Proxy.serve,
        allowed.summary,
        {200: ("The backend's answer", None if method == "HEAD" else dict[str, Any])},
        errors=(404, 502, *((403,) if admin else ())),
        body=dict[str, Any] if method == "POST" else None,
        others=_OTHERS,
        name=_name(method, path),
        description="oq sends the request to a backend and answers with the backend's answer. No"
        " task is made."
        + (" The setting gateway.allow_admin must be true for this." if admin else ""),
        error=dialect.error_shape,
    )


def _all() -> Iterator[Route]:
    yield from map(_task, ENDPOINTS.values())
    for call in ENDPOINTS.values():
        if call.keeps:
            yield from kept_routes(call)
    for dialect in DIALECTS:
        yield from (_passed(dialect, allowed) for allowed in dialect.allowed if allowed.listed)


GATEWAY = tuple(_all())

"""Makes JSON responses, with msgspec."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec
from msgspec import Struct
from quart_trio.wrappers import TrioResponse as Response

from oq.words.task import Status

JSON = "application/json"
_ENCODER = msgspec.json.Encoder()


class SubmitAnswer(Struct, frozen=True):
    """The id and the status of the stored task."""

    task_id: str
    status: Status


class BatchAnswer(Struct, frozen=True):
    """The ids of the stored tasks, in the order of the request."""

    task_ids: list[str]


class OkAnswer(Struct, frozen=True):
    """The answer to a request that succeeded."""

    status: str = "ok"


class ErrorAnswer(Struct, frozen=True):
    """An error. `error` is a text for people: what happened, which value caused it, what to do."""

    error: str


class PriorityChange(Struct, frozen=True, forbid_unknown_fields=True):
    """The new priority: 0 to 100, or low, normal, high, critical."""

    priority: int | str


OK = OkAnswer()


class JsonResponse(NamedTuple):
    """A response with JSON in bytes. Both the fast path and Quart can send it."""

    body: bytes
    status: int
    headers: Mapping[str, str]


def json_response(
    value: object, status: int = 200, headers: Mapping[str, str] | None = None
) -> JsonResponse:
    """A response with the value as JSON."""
    return JsonResponse(_ENCODER.encode(value), status, headers or {})


def quart_response(
    value: object, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """A Quart response with the value as JSON."""
    return to_quart(json_response(value, status, headers))


def to_quart(plain: JsonResponse) -> Response:
    """The same response, for Quart."""
    return Response(plain.body, plain.status, dict(plain.headers), None, JSON)


def encode(value: object) -> bytes:
    """The value as JSON."""
    return _ENCODER.encode(value)

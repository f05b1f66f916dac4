"""Whole responses, and those with JSON, by msgspec."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec
from msgspec import Struct
from quart_trio.wrappers import TrioResponse as Response

from oq.http.peer import Peer
from oq.http.request import Request
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


class WholeResponse(NamedTuple):
    """A response whose body is there. Both the fast path and Quart can send it. `shared` is what
    the body belongs to, if others who send the same look for it.
    """

    body: bytes
    status: int = 200
    headers: Mapping[str, str] = {}
    content_type: str = JSON
    shared: object = None

    async def send(self, peer: Peer) -> None:
        """Send it."""
        length = b"%d" % len(self.body)
        headers = [*as_sent(self.headers, self.content_type), (b"content-length", length)]
        await peer.begin(self.status, headers, body=self.body, more=False)

    def to_quart(self, request: Request) -> Response:
        """The same response, for Quart."""
        response = Response(self.body, self.status, dict(self.headers), None, self.content_type)
        response.shared = self.shared  # type: ignore[attr-defined]  # as long as it is being sent
        return response


def as_sent(headers: Mapping[str, str], content_type: str) -> list[tuple[bytes, bytes]]:
    """The headers as they go over the wire, in Quart's order."""
    named = [*headers.items(), ("content-type", content_type)]
    return [(name.lower().encode(), value.encode("latin-1")) for name, value in named]


def json_response(
    value: object, status: int = 200, headers: Mapping[str, str] | None = None
) -> WholeResponse:
    """A response with the value as JSON."""
    return WholeResponse(_ENCODER.encode(value), status, headers or {})


def quart_response(
    value: object, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """A Quart response with the value as JSON."""
    body = _ENCODER.encode(value)
    return Response(body, status, dict(headers or {}), None, JSON)


def encode(value: object) -> bytes:
    """The value as JSON."""
    return _ENCODER.encode(value)

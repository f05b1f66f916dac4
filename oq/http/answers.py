"""Bodies in and bodies out: bytes to msgspec and back, with nothing in between."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec
from msgspec import Struct
from quart.wrappers import Request
from quart_trio.wrappers import TrioResponse as Response

from oq.words.task import Status

JSON = "application/json"
_ENCODER = msgspec.json.Encoder()


class SubmitAnswer(Struct, frozen=True):
    """A task that has been stored."""

    task_id: str
    status: Status


class BatchAnswer(Struct, frozen=True):
    """The tasks of a batch, in the order in which they were sent."""

    task_ids: list[str]


class OkAnswer(Struct, frozen=True):
    """It was done, and is on disk."""

    status: str = "ok"


class ErrorAnswer(Struct, frozen=True):
    """What went wrong, for people: what happened, which value did it, what to do."""

    error: str


class PriorityChange(Struct, frozen=True, forbid_unknown_fields=True):
    """A priority from 0 to 100, or low, normal, high, critical."""

    priority: int | str


OK = OkAnswer()


class PlainRequest(NamedTuple):
    """A request as the handlers of the lane's calls see it: whole. The names of its headers are
    lower-case.
    """

    headers: Mapping[bytes, bytes]
    body: bytes

    def header(self, name: bytes) -> str | None:
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    @property
    def mimetype(self) -> str:
        return (self.header(b"content-type") or "").partition(";")[0].strip().lower()


class PlainAnswer(NamedTuple):
    """What they answer: JSON in bytes, which both the lane and Quart can send."""

    body: bytes
    status: int
    headers: Mapping[str, str]


def plain_answer(
    value: object, status: int = 200, headers: Mapping[str, str] | None = None
) -> PlainAnswer:
    """The value as JSON."""
    return PlainAnswer(_ENCODER.encode(value), status, headers or {})


def answer(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """The value as JSON, for Quart."""
    return to_response(plain_answer(value, status, headers))


def to_response(plain: PlainAnswer) -> Response:
    """The same answer, for Quart."""
    return Response(plain.body, plain.status, dict(plain.headers), None, JSON)


def encode(value: object) -> bytes:
    """The value as JSON, for what is not an answer of its own."""
    return _ENCODER.encode(value)


async def read_body(request: Request) -> bytes:
    """The whole body; its size, and the time that it may take, are bounded by the application."""
    return await request.get_data(cache=False, as_text=False, parse_form_data=False)

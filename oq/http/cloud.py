"""What the Ollama behind oq says at ``/api/status``, a path that both have.

Its own client reads there whether the models of ollama.com can be used: ``{"cloud": {"disabled",
"source"}}``. So the object `cloud` of the backend stands beside what oq says of its queue.
"""

from __future__ import annotations

from math import inf
from typing import Any

import msgspec
import trio
from msgspec import UNSET, Raw, Struct, UnsetType

from oq.backends.base import Passage
from oq.http.request import Request
from oq.queue import Passages
from oq.rules.via import HEADER, check_loop
from oq.words.errors import OqError
from oq.words.from_json import NOT_READ

PATH = "/api/status"
KEPT = 10.0
"""Seconds for which an answer is kept, and for which nothing is asked after there was none."""
WAIT = 0.25
"""Seconds for which a request waits for the backend, once in `KEPT` seconds."""
MOST = 16 * 1024
"""Bytes that are read of what the backend says."""

Cloud = dict[str, Any]


class _Said(Struct):
    cloud: Raw = Raw()


_SAID = msgspec.json.Decoder(_Said)
_CLOUD = msgspec.json.Decoder(Cloud)


class BackendCloud:
    """Asks a backend for its `cloud`, seldom, and never for long."""

    def __init__(self, passages: Passages) -> None:
        self._passages = passages
        self._known: Cloud | UnsetType = UNSET
        self._until = -inf

    async def look(self, request: Request) -> Cloud | UnsetType:
        """The object, if a backend gives one. While one request asks, others get what is known."""
        if trio.current_time() >= self._until:
            self._until = trio.current_time() + KEPT
            self._known = await self._ask(request)
        return self._known

    async def _ask(self, request: Request) -> Cloud | UnsetType:
        if not self._passages.reaches(PATH):
            return UNSET
        reply = _Whole()
        with trio.move_on_after(WAIT):
            try:
                way = check_loop(request.header(HEADER.lower().encode()), self._passages.mark)
                await self._passages.pass_on(Passage("GET", PATH, [], b""), reply, way)
                return reply.cloud()
            except (OqError, *NOT_READ):
                pass  # the status is that of the queue, whatever its backends say
        return UNSET


class _Whole:
    """The answer of a backend, if it is not longer than `MOST`."""

    def __init__(self) -> None:
        self._status = 0
        self._body = b""

    async def begin(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self._status = status

    async def piece(self, data: bytes) -> None:
        self._body += data[: MOST + 1 - len(self._body)]

    def cloud(self) -> Cloud | UnsetType:
        """The object in it. A MsgspecError if it is something else."""
        if self._status != 200 or len(self._body) > MOST:
            return UNSET
        said = _SAID.decode(self._body).cloud
        return _CLOUD.decode(said) if bytes(said) else UNSET

"""The pages of the simulated server without its sockets, for requests that oq passes on."""

from __future__ import annotations

from collections.abc import AsyncIterator

from oq.backends.base import Passage, Reply
from oq.backends.simulated.connection import Connection, HttpRequest, head_of
from oq.backends.simulated.server import route
from oq.backends.simulated.simulator import Simulator
from oq.words.errors import BackendFailure


async def answer_inside(simulator: Simulator, passage: Passage, reply: Reply) -> None:
    """Answer as the server would. BackendFailure where it breaks its connection."""
    body = passage.body if isinstance(passage.body, bytes) else b""
    path, _, query = passage.path.partition("?")
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in passage.headers]
    request = HttpRequest(passage.method, path, headers, body, query)
    call = simulator.record(request.method, path, request.headers, body, query=query)
    with simulator.answering(call):
        await route(simulator, _Inside(passage, reply), request, call)


class _Inside(Connection):
    """Hands on what the server would send."""

    def __init__(self, passage: Passage, reply: Reply) -> None:
        self._passage = passage
        self._reply = reply
        self.started = False
        self.script = None

    async def begin(self, status: int, content_type: str, **more: str) -> None:
        self.started = True
        head = head_of(self.script, status, content_type, **more)
        headers = [
            (name.encode("latin-1"), value.encode("latin-1")) for name, value in head.headers
        ]
        await self._reply.begin(head.status, headers)

    async def send(self, data: bytes) -> None:
        if data and self._passage.method != "HEAD":
            await self._reply.piece(data)

    async def end(self) -> None:
        pass

    async def cut(self, data: bytes) -> None:
        raise BackendFailure("the connection to the simulated backend was lost")

    async def close(self) -> None:
        raise BackendFailure("the connection to the simulated backend was lost")

    async def reset(self) -> None:
        raise BackendFailure("the connection to the simulated backend was lost")

    async def body(self) -> AsyncIterator[bytes]:
        if isinstance(self._passage.body, bytes):
            yield self._passage.body
            return
        async for part in self._passage.body:
            yield part

"""The pages of the simulated server without its sockets, for requests that oq passes on."""

from __future__ import annotations

from collections.abc import AsyncIterator

from oq.backends.base import Passage, Reply
from oq.backends.simulated.connection import Connection, HttpRequest
from oq.backends.simulated.server import route
from oq.backends.simulated.simulator import Simulator
from oq.words.errors import BackendFailure


async def answer_inside(simulator: Simulator, passage: Passage, reply: Reply) -> None:
    """Answer as the server would. BackendFailure where it breaks its connection."""
    body = passage.body if isinstance(passage.body, bytes) else b""
    request = HttpRequest(passage.method, passage.path, passage.headers, body)
    call = simulator.record(request.method, request.path, request.headers, body)
    with simulator.answering(call):
        await route(simulator, _Inside(passage, reply), request, call)


class _Inside(Connection):
    """Hands on what the server would send."""

    def __init__(self, passage: Passage, reply: Reply) -> None:
        self._passage = passage
        self._reply = reply
        self.started = False

    async def begin(self, status: int, content_type: str, **more: str) -> None:
        self.started = True
        headers = {"Content-Type": content_type}
        headers |= {name.replace("_", "-"): value for name, value in more.items()}
        encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
        await self._reply.begin(status, encoded)

    async def send(self, data: bytes) -> None:
        if data and self._passage.method != "HEAD":
            await self._reply.piece(data)

    async def end(self) -> None:
        pass

    async def cut(self, data: bytes) -> None:
        raise BackendFailure("the connection to the simulated backend was lost")

    async def reset(self) -> None:
        raise BackendFailure("the connection to the simulated backend was lost")

    async def body(self) -> AsyncIterator[bytes]:
        if isinstance(self._passage.body, bytes):
            yield self._passage.body
            return
        async for part in self._passage.body:
            yield part

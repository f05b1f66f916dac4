"""Which requests are those of Ollama's and OpenAI's clients, and where each of them goes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from oq.http.face import Face
from oq.http.gateway.serving import Serving
from oq.http.lean import Receive, Scope, Send
from oq.queue import Queue
from oq.words.calls import CALLS
from oq.words.clock import Clock

Serve = Callable[[Scope, Receive, Send], Awaitable[None]]


class Gateway:
    """The door for such clients."""

    def __init__(self, face: Face, queue: Queue, clock: Clock) -> None:
        self._serving = Serving(face, queue, clock)

    def ports(self, priorities: dict[int, int]) -> None:
        """Calls that come to these ports have these priorities."""
        self._serving.priorities.ports = priorities

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> bool:
        """Answer the request; False if it is not for this door."""
        if scope["type"] != "http":
            return False
        call = CALLS.get(scope["path"])
        if call is not None and scope["method"] == "POST":
            await self._serving.serve(call, scope, receive, send)
            return True
        return False

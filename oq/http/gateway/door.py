"""Which requests are those of Ollama's and OpenAI's clients, and where each of them goes."""

from __future__ import annotations

from collections.abc import Iterable

from oq.http.asgi import Receive, Scope, Send
from oq.http.context import Context
from oq.http.gateway.passing import Passing
from oq.http.gateway.serving import Serving
from oq.queue import Queue
from oq.words.calls import CALLS
from oq.words.clock import Clock

_ODD = ("", ".", "..")


class Gateway:
    """The door for such clients. What begins with one of the paths in `own` is oq's."""

    def __init__(self, context: Context, queue: Queue, clock: Clock, own: Iterable[str]) -> None:
        self._serving = Serving(context, queue, clock)
        self._passing = Passing(context, queue)
        self._own = frozenset(_root(path) for path in own)

    @property
    def listening(self) -> dict[int, int]:
        """The ports whose calls have a priority of their own, and which."""
        return self._serving.defaults.ports

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> bool:
        """Answer the request; False if it is not for this door."""
        path: str = scope["path"]
        if scope["type"] != "http" or not path.startswith(("/api/", "/v1/")) or _is_odd(path):
            return False
        call = CALLS.get(path)
        if call is not None and scope["method"] == "POST":
            await self._serving.serve(call, scope, receive, send)
        elif _root(path) in self._own:
            return False
        else:
            await self._passing.serve(scope, receive, send)
        return True


def _is_odd(path: str) -> bool:
    """Whether a backend might take it for another path than it looks like."""
    return not path.isprintable() or any(part in _ODD for part in path[1:].split("/"))


def _root(path: str) -> str:
    """The first two parts of a path: /api/tasks of all that is about tasks."""
    return "/".join(path.split("/")[:3])

"""Routes the requests of a dialect's clients (see `oq.dialects`): to the queue, or to a backend."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import unquote

from oq.dialects import ENDPOINTS, dialect_at
from oq.http.asgi import target_of
from oq.http.context import Context
from oq.http.gateway.allowlist import is_odd, methods_at
from oq.http.gateway.calls import CallHandler
from oq.http.gateway.kept_responses import KeptResponses
from oq.http.gateway.proxy import Proxy
from oq.http.gateway.redirects import Redirect, redirect
from oq.http.peer import Peer, RawHeaders, refuse
from oq.http.request import Request
from oq.queue import Queue
from oq.words.clock import Clock


class Gateway:
    """Answers these clients. Paths that begin with one in `own` belong to oq's own API."""

    def __init__(self, context: Context, queue: Queue, clock: Clock, own: Iterable[str]) -> None:
        self.calls = CallHandler(context, queue, clock)
        self._kept = KeptResponses(context, queue)
        self._proxy = Proxy(context, queue)
        self._own = frozenset(_root(path) for path in own)

    @property
    def listening(self) -> dict[int, int]:
        """The ports whose calls have a priority of their own, and which."""
        return self.calls.defaults.ports

    def takes(self, method: str, path: str) -> bool:
        """Whether a request by this method and this path, decoded, is a drop-in call: one of a
        dialect's clients, and not of oq's own API. So is one for the text at ``/``: clients look
        whether it is there.
        """
        if path == "/":
            return method in ("GET", "HEAD")
        if dialect_at(path) is None or is_odd(path):
            return False
        return (method == "POST" and path in ENDPOINTS) or _root(path) not in self._own

    def error(self, path: str, status: int, text: str) -> tuple[RawHeaders, bytes] | None:
        """The headers and the body of an error, in the form of the API that this path belongs to.
        None if it is oq's own or nobody's.
        """
        dialect = dialect_at(path)
        if dialect is None or _root(path) in self._own:
            return None
        body = dialect.error(status, text)
        length = b"%d" % len(body)
        return [(b"content-type", dialect.json_type), (b"content-length", length)], body

    def moved(self, request: Request) -> Redirect | None:
        """Where a request goes whose path is nearly that of a drop-in call."""
        there = redirect(request.method, target_of(request.scope))
        if there is None or request.is_websocket:
            return None
        return there if self.takes(request.method, unquote(there.path).rstrip("/")) else None

    async def serve(self, request: Request, peer: Peer) -> bool:
        """Answer the request; False if it is not one of theirs."""
        path = request.path
        dialect = dialect_at(path)
        if request.is_websocket or dialect is None:
            return False
        if is_odd(path):
            text = f"there is nothing at {path[:100]!r}; /openapi.json lists what there is"
            if (said := self.error(path, 404, text)) is not None:
                await refuse(request, peer, 404, *said)
            return said is not None
        call = ENDPOINTS.get(path)
        if call is not None and request.method == "POST":
            await self.calls.serve(call, request, peer)
        elif await self._kept.serve(dialect, request, peer):
            pass
        elif _root(path) in self._own:
            return False
        elif methods := _asked_for(request):
            allow = [(b"allow", ", ".join(methods).encode())]
            await refuse(request, peer, 204, allow, b"")
        else:
            await self._proxy.serve(dialect, request, peer)
        return True


def _asked_for(request: Request) -> list[str]:
    """The methods that an OPTIONS asks for."""
    if request.method != "OPTIONS":
        return []
    return methods_at(request.path, target_of(request.scope))


def _root(path: str) -> str:
    """The first two parts of a path: /api/tasks of all that is about tasks."""
    return "/".join(path.split("/")[:3])

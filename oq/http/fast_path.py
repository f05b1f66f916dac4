"""Answers requests without h11, Hypercorn, ASGI and Quart: the fast path.

A call spent a third of its time in those layers, a single POST of a task too, and one of many at
once nearly two thirds. Here the head is read in one step (`oq.http.fast_request`), the handler runs
in the connection's own task, and the response is written to the connection (`oq.http.fast_peer`).
A request that is not simple, or that the guard refuses, goes the ordinary way. Both ways use the
same handlers and give the same responses.

Here is what many do, and what lasts: drop-in calls, submits, and what reads a task, its stream or
the events.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import NamedTuple

import trio
from werkzeug.exceptions import BadRequest

from oq.dialects import ENDPOINTS, Endpoint
from oq.http.context import Context
from oq.http.door import Door
from oq.http.errors import send_error
from oq.http.fast_request import Head, read_head
from oq.http.peer import ClientGone, Peer
from oq.http.request import Request
from oq.http.request_body import BodyReader
from oq.http.route import Route

Serve = Callable[[Request, Peer], Awaitable[None]]
ServeCall = Callable[[Endpoint, Request, Peer], Awaitable[None]]
Address = tuple[str, int] | None

_PATH = re.compile(rb"[A-Za-z0-9/_.-]+")
_ID = re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_ID_PART = b"{task_id}"


class FastRequest(NamedTuple):
    """A request that the fast path answers: its head as it was read, and who answers it."""

    head: Head
    request: Request
    serve: Serve


class FastPath:
    """Answers simple requests: those for `routes`, and calls by `serve_call`. `limit` is the
    largest body, in bytes.
    """

    def __init__(
        self,
        routes: Iterable[Route],
        serve_call: ServeCall,
        context: Context,
        door: Door,
        limit: int,
    ) -> None:
        self._fixed: dict[tuple[bytes, bytes], Serve] = {
            (b"POST", path.encode()): partial(serve_call, call) for path, call in ENDPOINTS.items()
        }
        self._varied: dict[tuple[bytes, bytes], Route] = {}
        for route in routes:
            place = route.method.encode(), route.path.encode()
            if _ID_PART in place[1]:
                self._varied[place] = route
            else:
                self._fixed[place] = partial(self._serve_own, route, None)
        self._context = context
        self._door = door
        self._limit = limit

    def take(self, data: bytes, client: Address, server: Address) -> FastRequest | None:
        """The request of `client` that `data` begins with; None if it is not for the fast path."""
        head = read_head(data, self._limit)
        if head is None:
            return None
        path, _, query = head.target.partition(b"?")
        serve = self._find(head.method, path)
        if serve is None:
            return None
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": head.method.decode(),
            "path": path.decode(),
            "raw_path": path,
            "query_string": query,
            "headers": head.headers,
            "client": client,
            "server": server,
        }
        request = self._door.enter(scope, head.by_name)
        return FastRequest(head, request, serve) if request.verdict.refusal is None else None

    def _find(self, method: bytes, path: bytes) -> Serve | None:
        """Who answers the request; nobody if that needs a look at more than fixed parts and ids."""
        if (serve := self._fixed.get((method, path))) is not None:
            return serve
        if _PATH.fullmatch(path) is None or len(ids := _ID.findall(path)) != 1:
            return None
        route = self._varied.get((method, path.replace(ids[0], _ID_PART)))
        return None if route is None else partial(self._serve_own, route, ids[0].decode())

    async def _serve_own(
        self, route: Route, task_id: str | None, request: Request, peer: Peer
    ) -> None:
        """Answer a request for a route of oq's own API, about this task if it is about one."""
        parts = {} if task_id is None else {"task_id": task_id}
        with self._context.inflight.hold() as held:
            body = BodyReader(request, peer, self._limit, held)
            try:
                request.body = await body.read()
                if route.method == "GET":
                    await self._serve_watched(route, parts, request, peer)
                else:  # a change is made whether or not its client waits for it
                    answer = await route.run(self._context, request, **parts)
                    await answer.send(peer)
            except ClientGone:
                if body.whole:
                    raise
                # It may have closed its own side only.
                cut = BadRequest("the connection ended before the body did")
                await send_error(cut, request, peer, read=False)
            except Exception as error:
                await send_error(error, request, peer, read=body.whole)

    async def _serve_watched(
        self, route: Route, parts: dict[str, str], request: Request, peer: Peer
    ) -> None:
        with trio.CancelScope() as answering:
            peer.watch(answering)
            answer = await route.run(self._context, request, **parts)
            await answer.send(peer)

"""The application: the table of routes on Quart-Trio, behind the guard."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import trio
from quart import request, websocket
from quart_trio import QuartTrio

from oq.http import errors
from oq.http.answers import ErrorAnswer, encode
from oq.http.face import Face
from oq.http.guard import Guard, preflight, secure
from oq.http.metrics import Metrics
from oq.http.openapi import document
from oq.http.query import Query
from oq.http.routes import ROUTES, Route
from oq.queue import Queue

BODY_TIMEOUT = 60
"""Seconds in which a body must have come, so that a slow sender does not hold a connection."""

Scope = Any
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]


class App(QuartTrio):
    """Quart with the guard in front. `face` is what its handlers share."""

    def __init__(self, face: Face) -> None:
        super().__init__(__name__, static_folder=None)
        self.face = face
        self.guard = Guard(face.queue.config.server)

    async def asgi_app(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await super().asgi_app(scope, receive, send)
            return
        refusal, origin = self.guard.judge(scope)

        async def secured(message: Any) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                message["headers"] = secure(message["headers"], origin)
            await send(message)

        if refusal is not None:
            await _answer(scope, receive, secured, 403, refusal)
        elif not scope["path"].startswith(("/", "http://", "https://")):
            await _answer(scope, receive, secured, 400, f"{scope['path'][:100]!r} is not a path")
        elif (headers := preflight(scope, origin)) is not None:
            await _answer(scope, receive, secured, 204, None, headers)
        else:
            await super().asgi_app(scope, receive, secured)


def create_app(queue: Queue) -> App:
    """The HTTP side of `queue`."""
    metrics = Metrics(queue.status)
    queue.observe(metrics.committed)
    app = App(Face(queue, metrics, encode(document(ROUTES))))
    limit = queue.config.queue.max_payload
    app.config["MAX_CONTENT_LENGTH"] = limit
    app.config["BODY_TIMEOUT"] = BODY_TIMEOUT
    app.url_map.merge_slashes = False  # '//' would be answered with a redirect
    errors.install(app, limit)
    for route in ROUTES:
        _add(app, route)
    return app


def _add(app: App, route: Route) -> None:
    path = route.path.replace("{", "<").replace("}", ">")
    known = tuple(parameter.name for parameter in route.query) if route.strict else None
    if route.websocket:
        app.add_websocket(path, route.handler.__name__, _socket_view(app.face, route, known))
    else:
        view = _view(app.face, route, known)
        app.add_url_rule(path, route.handler.__name__, view, methods=[route.method])


def _view(face: Face, route: Route, known: tuple[str, ...] | None) -> Callable[..., Any]:
    handler = route.handler

    async def view(**parts: str) -> Any:
        current = request._get_current_object()  # type: ignore[attr-defined]
        if known is not None and current.query_string:
            Query(current.args).only(known)
        return await handler(face, current, **parts)

    return view


def _socket_view(face: Face, route: Route, known: tuple[str, ...] | None) -> Callable[..., Any]:
    handler = route.handler

    async def view() -> Any:
        current = websocket._get_current_object()  # type: ignore[attr-defined]
        Query(current.args).only(known or ())
        return await handler(face, current)

    return view


async def _answer(
    scope: Scope, receive: Receive, send: Send, status: int, error: str | None, headers: Any = ()
) -> None:
    """Answer without Quart."""
    kind = "websocket.http" if scope["type"] == "websocket" else "http"
    body = b"" if error is None else encode(ErrorAnswer(error))
    shown = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    start = {"type": f"{kind}.response.start", "status": status, "headers": [*headers, *shown]}
    async with trio.open_nursery() as nursery:
        # A body that nobody takes would block the connection, and with it this answer.
        nursery.start_soon(_drop, receive)
        await send(start)
        await send({"type": f"{kind}.response.body", "body": body, "more_body": False})
        nursery.cancel_scope.cancel()


async def _drop(receive: Receive) -> None:
    while (await receive())["type"] not in ("http.disconnect", "websocket.disconnect"):
        pass

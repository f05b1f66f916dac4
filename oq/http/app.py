"""The application: the table of routes on Quart-Trio, behind the door."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

from quart import request as quart_request
from quart import websocket as quart_websocket
from quart_trio import QuartTrio
from werkzeug.routing import BaseConverter

from oq.http import errors
from oq.http.asgi import AsgiPeer, Receive, Scope, Send, target_of, without_body
from oq.http.cloud import BackendCloud
from oq.http.context import Context
from oq.http.door import Door
from oq.http.fast_path import FastPath
from oq.http.gateway.openapi import GATEWAY
from oq.http.gateway.redirects import Redirect
from oq.http.gateway.router import Gateway
from oq.http.guard import preflight, secure
from oq.http.inflight import Inflight
from oq.http.metrics import Metrics
from oq.http.openapi import document
from oq.http.peer import ClientGone, Peer, RawHeaders, refuse
from oq.http.request import Request
from oq.http.request_body import BodyReader
from oq.http.responses import ErrorAnswer, encode
from oq.http.route import Route
from oq.http.routes import ROUTES
from oq.queue import Queue
from oq.words.clock import Clock

_REQUEST = "oq.request"
"""Where a scope that Quart gets has the request that was made of it."""


class App(QuartTrio):
    """Quart behind the door. `context` is what the handlers share; `fast_path` answers some
    requests without Quart.
    """

    def __init__(self, queue: Queue, context: Context, gateway: Gateway) -> None:
        super().__init__(__name__, static_folder=None)
        self.queue = queue
        self.context = context
        self.gateway = gateway
        self.limit = queue.config.queue.max_payload
        self.door = Door(queue, gateway.takes)
        fast = [each for each in ROUTES if each.fast_path]
        self.fast_path = FastPath(fast, gateway.calls.serve, context, self.door, self.limit)

    async def asgi_app(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await super().asgi_app(scope, receive, send)
            return
        request = self.door.enter(scope)
        refusal, origin = request.verdict.refusal, request.verdict.origin

        async def secured(message: Any) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                message["headers"] = secure(message["headers"], origin)
            await send(message)

        async with AsgiPeer(scope, receive, secured) as peer:
            if refusal is not None:
                status = request.verdict.status
                said = self.gateway.error(request.path, status, refusal) or _error(refusal)
                await refuse(request, peer, status, *said)
            elif (there := self.gateway.moved(request)) is not None:
                await refuse(request, peer, there.status, _location(there, scope), b"")
            elif (problem := _check_target(target_of(scope))) is not None:
                await refuse(request, peer, problem[0], *_error(problem[1]))
            elif (headers := preflight(scope, request.headers, request.verdict)) is not None:
                await refuse(request, peer, 204, headers, b"")
            elif not await self.gateway.serve(request, peer):
                await self._serve_own(request, peer, receive, secured)

    async def _serve_own(self, request: Request, peer: Peer, receive: Receive, send: Send) -> None:
        """Let Quart answer, once the body is whole: it would take what comes whatever it may be."""
        scope: Scope = {**request.scope, _REQUEST: request}
        if request.is_websocket:
            await super().asgi_app(scope, receive, send)
            return
        if request.method == "OPTIONS" and (methods := self._methods(request.path)):
            allow = [(b"allow", errors.allowed(methods).encode())]
            await refuse(request, peer, 204, allow, b"")
            return
        with self.context.inflight.hold() as held:
            body = BodyReader(request, peer, self.limit, held)
            try:
                request.body = await body.read()
            except ClientGone:
                pass
            except Exception as error:
                await errors.send_error(error, request, peer, read=body.whole)
            else:
                await super().asgi_app(scope, without_body(receive), send)

    def _methods(self, path: str) -> Iterable[str]:
        """The methods of oq's own API by this path; none if nothing is there."""
        return self.url_map.bind("").allowed_methods(path)


def _check_target(target: str) -> tuple[int, str] | None:
    """What is wrong with a request's target, and the status that says so. It is a path, which
    begins with one slash: whatever else it may be for others, nothing here asks another server.
    """
    if not target.startswith("/"):
        return 400, f"{target[:100]!r} is not a path: it must begin with a slash"
    if target.startswith("//"):
        return 404, f"there is nothing at {target[:100]!r}; /openapi.json lists what there is"
    return None


def _location(there: Redirect, scope: Scope) -> RawHeaders:
    query = scope["query_string"]
    where = there.path.encode() + (b"?" + query if query else b"")
    return [(b"location", where), (b"content-length", b"0")]


def _error(text: str) -> tuple[RawHeaders, bytes]:
    body = encode(ErrorAnswer(text))
    length = b"%d" % len(body)
    return [(b"content-type", b"application/json"), (b"content-length", length)], body


def openapi_document() -> dict[str, Any]:
    """What `/openapi.json` answers, decoded."""
    return document((*ROUTES, *GATEWAY))


@cache
def openapi() -> bytes:
    """The document that `/openapi.json` answers. It is made once, in 20 ms."""
    return encode(openapi_document())


def create_app(queue: Queue) -> App:
    """The HTTP side of `queue`."""
    metrics = Metrics(queue.status, queue.begin_history(), queue.tasks_by_model)
    queue.observe(metrics.committed)
    queue.observe_progress(metrics.progress)
    server, limit = queue.config.server, queue.config.queue.max_payload
    # A body alone may always be as long as a body may be.
    inflight = Inflight(max(server.max_inflight_bytes, limit))
    context = Context(metrics, openapi(), inflight, BackendCloud(queue.passages))
    gateway = Gateway(context, queue, Clock(), own=(route.path for route in ROUTES))
    app = App(queue, context, gateway)
    app.url_map.converters["default"] = _Part
    app.url_map.merge_slashes = False  # '//' would be answered with a redirect
    errors.install(app)
    for route in ROUTES:
        _add(app, route)
    return app


def _words_beside_parts() -> list[str]:
    """The last parts of those paths that another route has a variable part for."""
    ends = [(parent, last) for parent, _, last in (each.path.rpartition("/") for each in ROUTES)]
    varied = {parent for parent, last in ends if last.endswith("}")}
    return sorted({last for parent, last in ends if parent in varied and not last.endswith("}")})


class _Part(BaseConverter):
    """A part of a path that stands for itself, such as an id: any text but the words that other
    routes have in its place. By ``/api/tasks/count`` no task is read or deleted.
    """

    regex = rf"(?!(?:{'|'.join(map(re.escape, _words_beside_parts()))})\Z)[^/]+"


def _add(app: App, route: Route) -> None:
    path = route.path.replace("{", "<").replace("}", ">")
    name = route.handler.__name__
    if route.websocket:
        app.add_websocket(path, name, _socket_view(app.context, route))
    else:
        app.add_url_rule(path, name, _view(app.context, route), methods=[route.method])


def _request_of(scope: Scope) -> Request:
    request: Request = scope[_REQUEST]
    return request


def _view(context: Context, route: Route) -> Callable[..., Any]:
    async def view(**parts: str) -> Any:
        request = _request_of(quart_request.scope)
        answer = await route.run(context, request, **parts)
        return answer.to_quart(request) if route.fast_path else answer

    return view


def _socket_view(context: Context, route: Route) -> Callable[..., Any]:
    async def view() -> Any:
        socket = quart_websocket._get_current_object()  # type: ignore[attr-defined]
        return await route.run(context, _request_of(socket.scope), socket)

    return view

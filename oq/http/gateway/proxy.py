"""Passes requests that are not tasks to a backend, and streams both ways."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from math import inf

import trio
from werkzeug.exceptions import BadRequest, GatewayTimeout, RequestTimeout

from oq.backends.base import Passage
from oq.backends.reading_thread import use_bounded
from oq.dialects import Dialect
from oq.dialects.base import AllowedRequest
from oq.dialects.call_fields import read_name
from oq.http.asgi import Scope, target_of
from oq.http.context import Context
from oq.http.gateway.allowlist import find, named_in_target
from oq.http.gateway.exchange import Exchange, exchange
from oq.http.gateway.request import check_way
from oq.http.gateway.response import GatewayResponse
from oq.http.peer import Peer
from oq.http.request import Request
from oq.http.request_body import BODY_TIMEOUT
from oq.queue import Queue
from oq.rules.headers import down, up
from oq.words.errors import Forbidden, PayloadTooLarge
from oq.words.head import Head

_NDJSON = b"application/x-ndjson"
MAX_LINE = 1024 * 1024
"""Bytes of a line that are held until it is whole."""
TAKE_TIMEOUT = 60.0
"""Seconds in which a backend must take each part of an upload, unless it has begun to answer. One
that takes nothing may be alive all the same, so nothing else would end that; and while nothing is
taken, it cannot be seen that the caller has left: that stands behind what it has sent.
"""


class Proxy:
    """Passes requests on to the backends of `queue`."""

    def __init__(self, context: Context, queue: Queue) -> None:
        self._context = context
        self._passages = queue.passages
        self._limit = queue.config.queue.max_payload
        self._allow_admin = queue.config.gateway.allow_admin

    async def serve(self, dialect: Dialect, request: Request, peer: Peer) -> None:
        """Answer one request of this dialect, unless its caller leaves before."""
        handle = partial(self._pass, dialect)
        await exchange(handle, self._context, dialect, request, peer, self._limit)

    async def _pass(self, dialect: Dialect, one: Exchange) -> None:
        request = one.request
        allowed = find(request.method, request.path, target_of(request.scope))
        self._check(allowed, request.path)
        way = check_way(request, self._passages.mark)
        taking = trio.CancelScope()
        if allowed.uploads:
            body: bytes | Upload = Upload(one, taking)
        else:
            body = await one.body.read()
            one.watch_caller()
        passage, relay = _passage(request.scope, body), Relay(one.out, dialect, taking)
        with taking:
            if allowed.lists is not None:
                await self._passages.pass_on_list(allowed.lists, dialect, passage, relay, way)
            else:
                several = self._passages.several
                model = await self._model(dialect, allowed, one, body) if several else ""
                changes = allowed.admin_effect is not None
                await self._passages.pass_on(passage, relay, way, model=model, changes=changes)
        if taking.cancelled_caught:
            raise GatewayTimeout(f"the backend took nothing of the body for {TAKE_TIMEOUT:g} s")
        one.body.leave_rest()  # the backend may have answered before it had all of an upload
        await relay.end()

    async def _model(
        self, dialect: Dialect, allowed: AllowedRequest, one: Exchange, body: bytes | Upload
    ) -> str:
        """The model that the request names; empty if it names none, or cannot be read."""
        if not isinstance(body, bytes):
            return ""
        if not allowed.model_in or allowed.method in ("GET", "HEAD"):
            return named_in_target(allowed, one.request)
        headers = tuple((name.lower(), value) for name, value in up(one.request.scope["headers"]))
        read = partial(read_name, members=allowed.model_in, any_case=dialect.any_case)
        with suppress(PayloadTooLarge):  # the backend says what it thinks of it
            return await use_bounded(body, headers, self._limit, read, one.body.held.add)
        return ""

    def _check(self, allowed: AllowedRequest, path: str) -> None:
        if allowed.admin_effect is not None and not self._allow_admin:
            raise Forbidden(
                f"{allowed.method} {path[:100]} {allowed.admin_effect},"
                " which the settings do not allow;"
                " to allow it, set gateway.allow_admin to true"
            )


class Relay:
    """Passes a response on as it comes. NDJSON goes in whole lines, so that an error can follow.
    Once it has begun, `taking` has no deadline.
    """

    def __init__(self, out: GatewayResponse, dialect: Dialect, taking: trio.CancelScope) -> None:
        self._out = out
        self._dialect = dialect
        self._taking = taking
        self._lines = False
        self._held = b""

    async def begin(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self._taking.deadline = inf  # the rest of an upload need not be taken
        passed = down(headers)
        kind = Head(status, headers=tuple(passed)).content_type
        frames = kind == self._dialect.stream_type
        self._lines = frames and kind == _NDJSON
        await self._out.begin(status, passed, frames=frames)

    async def piece(self, data: bytes) -> None:
        if self._lines:
            data = self._held + data
            whole = data.rfind(b"\n") + 1 or len(data) * (len(data) > MAX_LINE)
            data, self._held = data[:whole], data[whole:]
        if data:
            await self._out.piece(data)

    async def end(self) -> None:
        """The answer was whole."""
        if self._held:
            await self._out.piece(self._held)
        await self._out.end()


class Upload:
    """A body of any size, part by part: what is not sent on is not taken either. `taking` is
    cancelled when the backend takes too long for one part.
    """

    def __init__(self, one: Exchange, taking: trio.CancelScope) -> None:
        self._one = one
        self._taking = taking

    def __aiter__(self) -> Upload:
        return self

    async def __anext__(self) -> bytes:
        self._taking.deadline = inf
        with trio.move_on_after(BODY_TIMEOUT):
            part = await self._one.body.part()
            if part is None:
                raise StopAsyncIteration
            if not self._one.out.begun:
                self._taking.deadline = trio.current_time() + TAKE_TIMEOUT
            return part
        raise RequestTimeout


def _passage(scope: Scope, body: bytes | Upload) -> Passage:
    target = target_of(scope)
    if b"#" in scope["query_string"]:
        raise BadRequest("a request's target has no #; write %23")
    if scope["query_string"]:
        target += "?" + scope["query_string"].decode("ascii")
    sized = () if isinstance(body, bytes) else (b"content-length",)
    return Passage(scope["method"], target, up(scope["headers"], *sized), body)

"""The calls for a response that is kept, by its id: read, streamed, cancelled, deleted.

Whoever has the id of a response may do that, and no other; no call here lists any.
https://platform.openai.com/docs/api-reference/responses
"""

from __future__ import annotations

import re
from contextlib import suppress
from functools import partial

from werkzeug.exceptions import MethodNotAllowed

from oq.dialects import ENDPOINTS, Dialect
from oq.dialects.kept_events import KeptEvents
from oq.dialects.kept_items import items_page
from oq.dialects.kept_response import KeptResponse, deleted, not_found
from oq.http.context import Context
from oq.http.gateway.exchange import Exchange, exchange
from oq.http.gateway.response import JSON, GatewayResponse
from oq.http.gateway.response_stream import ResponseStream
from oq.http.peer import Peer, refuse
from oq.http.query import Query
from oq.http.request import Request
from oq.queue import Queue
from oq.words.errors import Conflict, InvalidTask, NotFound

_PATHS = "|".join(re.escape(call.path) for call in ENDPOINTS.values() if call.keeps)
_PATH = re.compile(rf"(?:{_PATHS})/([^/]+)(|/cancel|/input_items)")
_METHODS = {"": ("DELETE", "GET"), "/cancel": ("POST",), "/input_items": ("GET",)}
_ACTIONS = frozenset({"compact", "input_tokens"})
"""What OpenAI has in the place of an id, for POST."""


class KeptResponses:
    """Answers these calls."""

    def __init__(self, context: Context, queue: Queue) -> None:
        self._context = context
        self._queue = queue
        self._limit = queue.config.queue.max_payload

    async def serve(self, dialect: Dialect, request: Request, peer: Peer) -> bool:
        """Answer a request for one response; False if its path is none of these."""
        found = _PATH.fullmatch(request.path)
        if found is None or found[1] in _ACTIONS:
            return False
        methods = _METHODS[found[2]]
        if request.method == "OPTIONS":
            allow = [(b"allow", ", ".join(methods).encode())]
            await refuse(request, peer, 204, allow, b"")
            return True
        handle = partial(self._serve, found[1], found[2])
        await exchange(handle, self._context, dialect, request, peer, self._limit)
        return True

    async def _serve(self, name: str, rest: str, one: Exchange) -> None:
        if one.request.method not in _METHODS[rest]:
            raise MethodNotAllowed(_METHODS[rest])
        await one.body.read()
        one.body.held.free()
        one.watch_caller()
        await self._answer(name, rest, one.request, one.out)

    async def _answer(self, name: str, rest: str, request: Request, out: GatewayResponse) -> None:
        try:
            response = await self._queue.calls.response(name, request.caller)
            if rest == "/cancel":
                await self._cancel(response, request, out)
            elif rest == "/input_items":
                await out.whole(200, [JSON], _items(response, request))
            elif request.method == "DELETE":
                await self._delete(response, request, out)
            else:
                await self._retrieve(response, request, out)
        except NotFound:
            await out.whole(404, [JSON], not_found(name))

    async def _retrieve(
        self, response: KeptResponse, request: Request, out: GatewayResponse
    ) -> None:
        query = Query(request.args)
        after = query.whole("starting_after", -1)
        task = (b"x-oq-task-id", response.state.id.encode())
        if _flag(query, "stream"):
            stream = ResponseStream(self._context, self._queue, out)
            await stream.send(KeptEvents(response, after), response.state.id, [task])
        else:
            await out.whole(200, [JSON, task], response.document())

    async def _cancel(self, response: KeptResponse, request: Request, out: GatewayResponse) -> None:
        """Cancel it, and answer how it stands. One that has ended stays as it is."""
        with suppress(Conflict):
            await request.queue.cancel(response.state.id)
        response = await self._queue.calls.response(response.id, request.caller)
        await out.whole(200, [JSON], response.document())

    async def _delete(self, response: KeptResponse, request: Request, out: GatewayResponse) -> None:
        """Delete it; one that has not ended is cancelled before."""
        with suppress(Conflict):
            await request.queue.cancel(response.state.id)
        await request.queue.delete(response.state.id)
        await out.whole(200, [JSON], deleted(response.id))


def _items(response: KeptResponse, request: Request) -> bytes:
    query = Query(request.args)
    order = query.one("order") or "desc"
    if order not in ("asc", "desc"):
        raise InvalidTask("order", f"{order[:64]!r} is neither asc nor desc")
    limit = query.whole("limit", 20)
    if not 1 <= limit <= 100:
        raise InvalidTask("limit", f"{limit} is not between 1 and 100")
    return items_page(response, query.one("after"), limit, newest_first=order == "desc")


def _flag(query: Query, name: str) -> bool:
    value = query.one(name)
    if value not in (None, "true", "false"):
        raise InvalidTask(name, f"{value[:64]!r} is neither true nor false")
    return value == "true"

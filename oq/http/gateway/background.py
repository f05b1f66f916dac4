"""Responses in the background: POST /v1/responses with `background`, and the calls by their id.

https://platform.openai.com/docs/guides/background. Such a call is a task that goes on without its
caller. Whoever has the id of a response may read, cancel and delete it, and no other; no call here
lists any.
"""

from __future__ import annotations

import re
from contextlib import suppress
from functools import partial
from secrets import token_hex

import trio
from msgspec.structs import replace
from werkzeug.exceptions import MethodNotAllowed

from oq.dialects import ENDPOINTS, Dialect
from oq.dialects.kept_events import KeptEvents
from oq.dialects.kept_items import items_page
from oq.dialects.kept_response import (
    RANDOM,
    Kept,
    KeptResponse,
    deleted,
    going_on,
    in_foreground,
    not_found,
    task_of,
)
from oq.http.asgi import BodyReader, ClientGone, RawHeaders, Receive, Send, refuse
from oq.http.context import CLOSING, Context
from oq.http.gateway.errors import ErrorResponder
from oq.http.gateway.proxy import wait_hung_up
from oq.http.gateway.request import CallRequest
from oq.http.gateway.response import GatewayResponse
from oq.http.query import Query
from oq.http.request import Request
from oq.http.streaming import EVENT_STREAM, SSE_COMMENT, SSE_KEEPALIVE
from oq.queue import Accepted, FrameReader, NewCall, Queue
from oq.words.caller import Caller
from oq.words.errors import Conflict, InvalidTask, NotFound, Unavailable

_PATHS = "|".join(re.escape(call.path) for call in ENDPOINTS.values() if call.keeps)
_PATH = re.compile(rf"(?:{_PATHS})/([^/]+)(|/cancel|/input_items)")
_METHODS = {"": ("DELETE", "GET"), "/cancel": ("POST",), "/input_items": ("GET",)}
_ACTIONS = frozenset({"compact", "input_tokens"})
"""What OpenAI has in the place of an id, for POST."""
_TYPE = b"content-type"
_JSON = (_TYPE, b"application/json")
_BEGAN_ANEW = "the response was begun anew; take it up behind this number, and all of it comes"
_DELETED = "the response was deleted"


class Background:
    """Answers the calls for responses that are kept."""

    def __init__(self, context: Context, queue: Queue) -> None:
        self._context = context
        self._queue = queue
        self._limit = queue.config.queue.max_payload

    # -- POST /v1/responses

    async def prepare(self, wanted: CallRequest) -> CallRequest:
        """The call as a backend gets it. InvalidTask for what cannot be granted."""
        new = wanted.new
        if not new.call.keeps:
            return wanted
        body, wish = wanted.document, wanted.wish
        previous = wish.previous_response_id
        if not isinstance(previous, str) or task_of(previous) is None:
            previous = None
        if previous is not None:
            body = await self._going_on(body, previous, new.caller)
        if wish.background is not True:
            return wanted if previous is None else wanted._replace(new=_with_body(new, body))
        new = replace(
            _with_body(new, in_foreground(body)),
            kept=Kept(token_hex(RANDOM), previous),
            detached=True,
            impatient=False,
        )
        return wanted._replace(new=new, progress=False)

    async def _going_on(self, body: bytes, previous: str, caller: Caller) -> bytes:
        try:
            earlier = await self._queue.calls.response(previous, caller)
        except NotFound:
            raise InvalidTask(
                "previous_response_id", f"Previous response with id {previous!r} not found."
            ) from None
        body = going_on(body, earlier)
        if len(body) > self._limit:
            raise InvalidTask(
                "previous_response_id",
                f"with all that was said before, the input has {len(body)} bytes;"
                f" at most {self._limit} (queue.max_payload)",
            )
        return body

    async def begin(self, wanted: CallRequest, accepted: Accepted, out: GatewayResponse) -> None:
        """Answer the call whose response is made in the background."""
        task_id = accepted.task_id
        response = await self._queue.calls.response_of(task_id)
        if response is None:
            raise Conflict(f"the call with this Idempotency-Key, task {task_id}, has a caller")
        place = b"%d" % self._queue.calls.position(task_id)
        headers = [(b"x-oq-task-id", task_id.encode()), (b"x-oq-queue-position", place)]
        if wanted.streams:
            await self._stream(KeptEvents(response), response, out, headers)
            return
        document = response.as_of("queued") if accepted.created else response.document()
        await out.whole(200, [_JSON, *headers], document)

    # -- the calls by an id

    async def serve(self, dialect: Dialect, request: Request, receive: Receive, send: Send) -> bool:
        """Answer a request for one response; False if its path is none of these."""
        found = _PATH.fullmatch(request.path)
        if found is None or found[1] in _ACTIONS:
            return False
        methods = _METHODS[found[2]]
        if request.method == "OPTIONS":
            allow = [(b"allow", ", ".join(methods).encode())]
            await refuse(request.scope, receive, send, 204, allow, b"")
            return True
        out = GatewayResponse(request, send, partial(self._context.metrics.answered, dialect.name))
        with self._context.inflight.hold() as held:
            body = BodyReader(request, receive, self._limit, held)
            async with trio.open_nursery() as nursery:
                try:
                    _check_method(request.method, methods)
                    await body.read()
                    held.free()
                    nursery.start_soon(wait_hung_up, receive, nursery.cancel_scope)
                    await self._answer(found[1], found[2], request, out)
                except ClientGone:
                    pass
                except Exception as error:
                    responder = ErrorResponder(request, body, out, dialect)
                    await responder.refuse(error, receive)
                nursery.cancel_scope.cancel()
        return True

    async def _answer(self, name: str, rest: str, request: Request, out: GatewayResponse) -> None:
        try:
            response = await self._queue.calls.response(name, request.caller)
            if rest == "/cancel":
                await self._cancel(response, request, out)
            elif rest == "/input_items":
                await out.whole(200, [_JSON], _items(response, request))
            elif request.method == "DELETE":
                await self._delete(response, request, out)
            else:
                await self._retrieve(response, request, out)
        except NotFound:
            await out.whole(404, [_JSON], not_found(name))

    async def _retrieve(
        self, response: KeptResponse, request: Request, out: GatewayResponse
    ) -> None:
        query = Query(request.args)
        after = query.whole("starting_after", -1)
        task = (b"x-oq-task-id", response.state.id.encode())
        if _flag(query, "stream"):
            await self._stream(KeptEvents(response, after), response, out, [task])
        else:
            await out.whole(200, [_JSON, task], response.document())

    async def _cancel(self, response: KeptResponse, request: Request, out: GatewayResponse) -> None:
        """Cancel it, and answer how it stands. One that has ended stays as it is."""
        with suppress(Conflict):
            await request.queue.cancel(response.state.id)
        response = await self._queue.calls.response(response.id, request.caller)
        await out.whole(200, [_JSON], response.document())

    async def _delete(self, response: KeptResponse, request: Request, out: GatewayResponse) -> None:
        """Delete it; one that has not ended is cancelled before."""
        with suppress(Conflict):
            await request.queue.cancel(response.state.id)
        await request.queue.delete(response.state.id)
        await out.whole(200, [_JSON], deleted(response.id))

    # -- streams

    async def _stream(
        self, events: KeptEvents, response: KeptResponse, out: GatewayResponse, headers: RawHeaders
    ) -> None:
        await out.begin(200, [(_TYPE, EVENT_STREAM.encode()), *headers])
        task_id = response.state.id
        scope = trio.CancelScope()
        try:
            with (
                self._context.until_close(scope.cancel),
                scope,
                self._queue.calls.read_frames(task_id) as reader,
            ):
                await _Feed(events, reader, out).run()
                ended = await self._queue.calls.response_of(task_id)
                if ended is not None:
                    await _send(out, events.end(ended, generated=reader.generated))
            if scope.cancelled_caught:
                await out.piece(events.broken(CLOSING))
        except NotFound:
            await out.piece(events.broken(_DELETED))
        except Unavailable as error:
            await out.piece(events.broken(str(error)))
        await out.end()


class _Feed:
    """Sends what is said to one reader, as it is said."""

    def __init__(self, events: KeptEvents, reader: FrameReader, out: GatewayResponse) -> None:
        self._events = events
        self._reader = reader
        self._out = out
        self._shown = False
        """Whether the reader has an event of the present attempt."""

    async def run(self) -> None:
        """Until the task has ended. Unavailable if the reader has to come back."""
        await _send(self._out, self._events.opening())
        attempt: int | None = None
        while frames := await self._due():
            reader = self._reader
            if reader.attempt is not None and reader.attempt != attempt:
                if self._shown:
                    raise Unavailable(_BEGAN_ANEW)
                attempt = reader.attempt
                self._events.begin(attempt, first=reader.first)
            said = b"".join(map(self._events.frame, frames))
            self._shown = self._shown or bool(said)
            await _send(self._out, said)

    async def _due(self) -> list[bytes]:
        while True:
            with trio.move_on_after(SSE_KEEPALIVE):
                return await self._reader.receive()
            await self._out.piece(SSE_COMMENT)


def _check_method(method: str, methods: tuple[str, ...]) -> None:
    if method not in methods:
        raise MethodNotAllowed(methods)


async def _send(out: GatewayResponse, said: bytes) -> None:
    if said:
        await out.piece(said)


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


def _with_body(new: NewCall, body: bytes) -> NewCall:
    """The call with another body, which is not compressed."""
    headers = tuple(item for item in new.headers if item[0] != b"content-encoding")
    return replace(new, body=body, headers=headers, measured=False)

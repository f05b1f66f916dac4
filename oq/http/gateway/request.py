"""Reads a call: what its body and its headers ask for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import NamedTuple

from werkzeug.exceptions import BadRequest

from oq.backends.reading_thread import use_bounded
from oq.dialects import Endpoint, Reading
from oq.dialects.kept_response import Wish, read_wish
from oq.http.request import Request
from oq.queue import NewCall
from oq.rules.conversations import conversation_of
from oq.rules.headers import up_with_call
from oq.rules.limits import Limits, check_size
from oq.rules.terms import parse_priority
from oq.rules.via import HEADER, check_loop
from oq.words.config import GatewayConfig
from oq.words.errors import InvalidTask
from oq.words.task import MAX_TENANT, TaskType

MAX_AGENT = 200
"""Characters of a User-Agent that are kept."""

_CONVERSATIONS = frozenset({TaskType.CHAT, TaskType.GENERATE})
"""The types of calls that may be part of a conversation."""
_VIA = HEADER.lower().encode()
_YES, _NO = frozenset({"true", "1", "yes"}), frozenset({"", "false", "0", "no"})


class CallRequest(NamedTuple):
    """A call as it was read. `progress`: send the queue position while the caller waits. `wish` and
    `document`, which is what oq reads of the body: if its response may be kept.
    """

    new: NewCall
    streams: bool
    key: str | None
    progress: bool
    wish: Wish = Wish()
    document: bytes = b""


class _Said(NamedTuple):
    """What the document of a call says."""

    reading: Reading
    conversation: int = 0
    wish: Wish = Wish()
    document: bytes = b""


class Defaults:
    """The timeout and the priority of calls that do not say them. `ports` has the priorities of
    the ports in `gateway.listen`, as they were bound. `pass_authorization`: whether there is a
    backend that takes the Authorization header of a call.
    """

    def __init__(self, gateway: GatewayConfig, *, pass_authorization: bool = False) -> None:
        self.timeout = gateway.timeout
        self.pass_authorization = pass_authorization
        self.ports: dict[int, int] = {}
        self._paths = {rule.path: parse_priority(rule.priority) for rule in gateway.priorities}
        self._default = parse_priority(gateway.priority)

    def priority(self, call: Endpoint, port: int | None, header: str | None) -> int:
        """The header's, else the port's, else the path's. InvalidTask if the header is wrong."""
        if header is not None:
            try:
                return parse_priority(header)
            except InvalidTask as error:
                raise InvalidTask("X-OQ-Priority", error.reason) from None
        if port in self.ports:
            return self.ports[port]
        return self._paths.get(call.path, self._default)


async def read_request(
    call: Endpoint,
    request: Request,
    body: bytes,
    defaults: Defaults,
    way: str = "",
    *,
    most: int,
    held: Callable[[int], object],
) -> CallRequest:
    """InvalidTask says what is wrong, if it is not left to the backend to say; PayloadTooLarge if
    the body is compressed, and has more than `most` bytes once it is not. `held` counts these, and
    raises Unavailable if all bodies together have too many.
    """
    headers = up_with_call(request.scope["headers"], authorization=defaults.pass_authorization)
    read = partial(_read, call, request.queue.limits, request.scope["headers"])
    said = await use_bounded(body, headers, most, read, held)
    server = request.scope.get("server")
    agent = request.header(b"user-agent")
    timeout = request.header(b"x-oq-timeout")
    new = NewCall(
        call=call,
        body=body,
        model=said.reading.model,
        load=said.reading.load,
        priority=defaults.priority(
            call, server[1] if server else None, request.header(b"x-oq-priority")
        ),
        timeout=timeout or defaults.timeout,
        impatient=bool(timeout),
        detached=_flag(request, "X-OQ-Detach"),
        caller=request.caller,
        user_agent=None if agent is None else agent[:MAX_AGENT],
        conversation=said.conversation,
        tenant=_tenant(request.header(b"x-oq-tenant")),
        max_wait=request.header(b"x-oq-max-wait"),
        way=way,
        headers=headers,
        target=_target(call, request),
        measured=True,
    )
    streams = said.reading.streams
    progress = streams and _flag(request, "X-OQ-Progress")
    key = request.header(b"idempotency-key")
    return CallRequest(new, streams, key, progress, said.wish, said.document)


def _read(
    call: Endpoint, limits: Limits, headers: Iterable[tuple[bytes, bytes]], document: bytes
) -> _Said:
    check_size("", document, limits)
    reading, conversation = call.dialect.read(call, document), 0
    if limits.conversations and call.type in _CONVERSATIONS:
        conversation = conversation_of(headers, document)
    if not call.keeps:
        return _Said(reading, conversation)
    return _Said(reading, conversation, read_wish(document), document)


def _tenant(header: str | None) -> str | None:
    """The tenant that a call is for, if it says one."""
    if header is None:
        return None
    name = header.strip()
    if not (1 <= len(name) <= MAX_TENANT and name.isprintable()):
        raise InvalidTask("X-OQ-Tenant", f"it must be 1 to {MAX_TENANT} printable characters")
    return name


def _target(call: Endpoint, request: Request) -> str | None:
    """The path and the query of the call, if they are not just those of its endpoint."""
    query = request.scope["query_string"].decode("ascii")
    if b"#" in request.scope["query_string"]:
        raise BadRequest("a request's target has no #; write %23")
    target = f"{request.path}?{query}" if query else request.path
    return None if target == call.path else target


def check_way(request: Request, mark: str) -> str:
    """The way of the request so far; LoopDetected if it has been at the queue with this mark."""
    return check_loop(request.header(_VIA), mark)


def _flag(request: Request, name: str) -> bool:
    value = (request.header(name.lower().encode()) or "").strip().lower()
    if value not in _YES | _NO:
        raise InvalidTask(name, f"{value[:64]!r} is neither true nor false")
    return value in _YES

"""The peer of a request on the fast path: its response is written straight to the connection.

What is due together leaves in one write: the head with the beginning of the body, a chunk with what
says its length. The headers are those of the ordinary way, in the same order.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from http.client import NO_CONTENT, responses
from time import time
from typing import NamedTuple

import trio
from hypercorn.config import Config as HyperConfig

from oq.http.client_stream import MAX_RECEIVE, ClientStream
from oq.http.fast_request import Head
from oq.http.guard import UNLESS_SET, secure
from oq.http.peer import ClientGone, RawHeaders

TOGETHER = 64 * 1024
"""Bytes of a body that are copied behind the head of a response. A longer one follows by itself."""

SHORT = 1024
"""Bytes of the names of headers, all of a response, that are remembered."""
SHORT_REASON = 64
"""Bytes of a reason phrase that is remembered: a backend may send longer ones, each another."""

_FIELDS = re.compile(rb"(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+: [^\0\r\n\v\f]*\r\n)*")
_REASON = re.compile(rb"[^\0\r\n\v\f]*")
_BODILESS = frozenset({204, 304})
_LENGTH, _CODING, _CONNECTION = b"content-length", b"transfer-encoding", b"connection"
_MAY_BRING = frozenset(name for name, _ in UNLESS_SET)
_LAST_CHUNK = b"0\r\n\r\n"


class ServerHeaders:
    """What Hypercorn adds to each response: the date, made once a second."""

    def __init__(self, config: HyperConfig) -> None:
        self._config = config
        self._second = -1
        self._lines = b""

    def lines(self) -> bytes:
        """The lines of these headers."""
        now = int(time())
        if now != self._second:
            self._second, self._lines = now, _lines(self._config.response_headers("h11"))
        return self._lines


class FastPeer:
    """The client of one request. `data` is what has come of its connection, from the head of the
    request on; `origin` is the page that may read the response. `count` counts the response, and
    says whether the connection ends after it.
    """

    def __init__(
        self,
        stream: ClientStream,
        head: Head,
        data: bytes,
        *,
        origin: bytes | None,
        server: ServerHeaders,
        count: Callable[[], bool],
    ) -> None:
        self._stream = stream
        self._part = data[head.end : head.end + head.length]
        self._missing = head.length - len(self._part)
        self._origin = origin
        self._server = server
        self._chunked = False
        self._owed = 0  # bytes of the response that are left to send, if it has a length
        self._count = count
        self._keep_alive = head.keep_alive
        self.last = False
        """Whether the connection ends after this response."""
        self.status = 0
        """That of the response; 0 before it has been sent."""
        self.whole = False
        """Whether the request has been read, and the response sent, to the end."""

    @property
    def begun(self) -> bool:
        """As `oq.http.peer.Peer` says; so with the others."""
        return self.status != 0

    def at_hand(self) -> bytes | None:
        if self._missing:
            return None
        body, self._part = self._part, b""
        return body

    async def part(self) -> bytes | None:
        if self._part:
            part, self._part = self._part, b""
            return part
        if not self._missing:
            return None
        # Not a byte more: that would be the next request's.
        part = await self._stream.receive(min(self._missing, MAX_RECEIVE))
        if not part:
            raise ClientGone
        self._missing -= len(part)
        return part

    def watch(self, scope: trio.CancelScope) -> None:
        self._stream.watch(scope)

    def discard(self) -> None:
        self.last = True  # what still comes is dropped when the response has been sent

    async def begin(
        self,
        status: int,
        headers: RawHeaders,
        *,
        reason: bytes = b"",
        body: bytes = b"",
        more: bool,
    ) -> None:
        head = self._head(status, list(headers), reason)
        self.status = status
        framed = self._framed(body)
        if len(body) > TOGETHER:
            await self._send(head)
            head = b""
        if not more and self._chunked:
            framed += _LAST_CHUNK
        await self._send(head + framed)
        self.whole = not (more or self._missing or self._owed)

    async def piece(self, data: bytes) -> None:
        framed = self._framed(data)
        if framed or self._stream.owes:
            await self._send(framed)

    def piece_nowait(self, data: bytes) -> bool:
        return self._stream.send_nowait(self._framed(data))

    async def end(self) -> None:
        if self._chunked:
            await self._send(_LAST_CHUNK)
        self.whole = not (self._missing or self._owed)

    def _framed(self, data: bytes) -> bytes:
        """A part of the body as it is sent: if it has no length, in the chunked coding of RFC 9112,
        7.1. ValueError if it is more than it was said to be.
        """
        if self.status in _BODILESS or not data:
            return b""
        if self._chunked:
            return b"%x\r\n%b\r\n" % (len(data), data)
        self._owed -= len(data)
        if self._owed < 0:
            raise ValueError("the body of the response is longer than its Content-Length")
        return data

    async def _send(self, data: bytes) -> None:
        if not await self._stream.send(data):
            raise ClientGone

    def _head(self, status: int, headers: list[tuple[bytes, bytes]], reason: bytes) -> bytes:
        """The head of the response. ValueError for headers that would be read as something else."""
        names = _names_of(headers)
        length = _length(headers, names)
        ends = self._count()
        told = names.connection is not None and headers[names.connection][1].lower() == b"close"
        self.last = self.last or ends or told or not self._keep_alive
        if status == NO_CONTENT and names.sized is not None:  # not even 0: RFC 9110, 8.6
            headers, names = _without(_LENGTH, headers)
        bodiless = status in _BODILESS
        self._chunked = not bodiless and length is None
        self._owed = 0 if bodiless or length is None else length
        if told and not self._keep_alive:
            headers, names = _without(_CONNECTION, headers)
        return b"".join(
            [
                _status_line(status, reason),
                _checked_lines(headers, names),
                _secure_lines(self._origin, names.brought),
                self._server.lines(),
                b"connection: close\r\n" if ends and not told and self._keep_alive else b"",
                # h11 writes these two in this way.
                b"Transfer-Encoding: chunked\r\n" if self._chunked else b"",
                b"" if self._keep_alive else b"Connection: close\r\n",
                b"\r\n",
            ]
        )


class _Names(NamedTuple):
    """What the names of a response's headers say. `lines` are the headers with a place for each
    value. `sized` and `connection` say where Content-Length and Connection are, the last of each.
    `odd`: they say in another way how long the body is. `brought` are those that would be added.
    """

    lines: bytes
    sized: int | None
    connection: int | None
    odd: bool
    brought: frozenset[bytes]


def _names_of(headers: list[tuple[bytes, bytes]]) -> _Names:
    """Nearly all responses have the headers of one before, with other values."""
    names = tuple([name for name, _ in headers])
    return _read_names(names) if sum(map(len, names)) <= SHORT else _read_names.__wrapped__(names)


def _without(
    name: bytes, headers: list[tuple[bytes, bytes]]
) -> tuple[list[tuple[bytes, bytes]], _Names]:
    """The headers that have another name, which is given in lower case."""
    left = [header for header in headers if header[0].lower() != name]
    return left, _names_of(left)


@lru_cache(maxsize=256)
def _read_names(names: tuple[bytes, ...]) -> _Names:
    lower = [name.lower() for name in names]
    place = {name: index for index, name in enumerate(lower)}
    return _Names(
        b"".join([b"%b: %%b\r\n" % name.strip().replace(b"%", b"%%") for name in names]),
        place.get(_LENGTH),
        place.get(_CONNECTION),
        lower.count(_LENGTH) > 1 or _CODING in place,
        frozenset(_MAY_BRING & place.keys()),
    )


def _length(headers: list[tuple[bytes, bytes]], names: _Names) -> int | None:
    """What the headers say of the length of the body. ValueError if they say it in another way."""
    if names.sized is None and not names.odd:
        return None
    said = b"" if names.sized is None else headers[names.sized][1]
    if names.odd or not said.isdigit():
        raise ValueError(f"the headers say in another way how long the body is: {headers!r}"[:200])
    return int(said)


def _status_line(status: int, reason: bytes) -> bytes:
    make = _made_status_line if len(reason) <= SHORT_REASON else _made_status_line.__wrapped__
    return make(status, reason)


@lru_cache(maxsize=256)
def _made_status_line(status: int, reason: bytes) -> bytes:
    if not _REASON.fullmatch(reason):
        raise ValueError(f"{reason[:100]!r} is no reason phrase for the head of a response")
    return b"HTTP/1.1 %d %b\r\n" % (status, reason or responses.get(status, "").encode())


def _checked_lines(headers: list[tuple[bytes, bytes]], names: _Names) -> bytes:
    """The headers as lines, each of which is one. ValueError for what h11 would not send either."""
    lines = names.lines % tuple([value.strip() for _, value in headers])
    if not _FIELDS.fullmatch(lines) or lines.count(b"\n") != len(headers):
        raise ValueError(f"one of these is no header: {headers!r}"[:200])
    return lines


@lru_cache(maxsize=256)
def _secure_lines(origin: bytes | None, brought: frozenset[bytes]) -> bytes:
    """The headers for browsers, behind those that a response brings itself."""
    given = [(name, b"") for name in brought]
    return _lines(secure(given, origin)[len(given) :])


def _lines(headers: RawHeaders) -> bytes:
    return b"".join([b"%b: %b\r\n" % pair for pair in headers])

"""One request, as the bytes that are sent.

What a caller's headers say goes as it is written. Of the client's own headers those go that the
caller's do not name.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Sequence
from typing import NamedTuple

from oq.backends.http1.connection import Origin
from oq.backends.http1.errors import Lost

Fields = Sequence[tuple[bytes, bytes]]
"""Headers, in their order and as they are written. A name may come several times."""

Body = bytes | AsyncIterable[bytes]

KEPT = (b"Connection", b"keep-alive")
NOT_KEPT = (b"Connection", b"close")
_CHUNKED = (b"Transfer-Encoding", b"chunked")
_FRAMING = frozenset({b"content-length", b"transfer-encoding"})

_SIZED = (b"POST", b"PUT", b"PATCH")
"""Methods whose requests say how long their body is even if there is none: RFC 9110, 8.6."""


_SAFE = (b"GET", b"HEAD")
"""Methods that change nothing at the server: RFC 9110, 9.2.1."""


class Target(NamedTuple):
    """What a request is for: a path, with its query, at a server."""

    origin: Origin
    path: bytes


class OwnFields:
    """The headers that each request of a client has, unless its caller says another thing."""

    def __init__(self, fields: Fields) -> None:
        self._fields = [(name.lower(), (name, value)) for name, value in fields]

    def joined(self, fields: Fields) -> list[tuple[bytes, bytes]]:
        """These, without those that `fields` name, and then `fields`."""
        names = {name.lower() for name, _ in fields}
        return [item for name, item in self._fields if name not in names] + [*fields]


class Request:
    """A request. With `NOT_KEPT` among its `fields` its connection is used for nothing else. Lost
    if its bytes would say another thing than its parts.
    """

    def __init__(
        self, method: bytes, target: Target, own: OwnFields, fields: Fields, body: Body
    ) -> None:
        self.target = target
        self.body = body
        self.fields = own.joined(fields)
        """All of its headers, but those that are about its own frame."""
        self.length: int | None = None
        """How long a body in parts is, if its caller says so; else it goes in chunks."""
        self.keeps = NOT_KEPT not in self.fields
        self.head_only = method == b"HEAD"
        self.only_reads = method in _SAFE and not body
        framing = self._framing(method)
        self.head = _head(method, target, [*self.fields, *framing])

    def _framing(self, method: bytes) -> Fields:
        told = [item for item in self.fields if item[0].lower() in _FRAMING]
        if told:
            self.fields = [item for item in self.fields if item not in told]
        if isinstance(self.body, bytes):
            sized = self.body or method in _SIZED
            return [(b"Content-Length", b"%d" % len(self.body))] if sized else []
        if len(told) == 1 and told[0][0].lower() == b"content-length" and told[0][1].isdigit():
            self.length = int(told[0][1])
            return told
        return [_CHUNKED]


def _head(method: bytes, target: Target, fields: Fields) -> bytes:
    lines = [b"%b %b HTTP/1.1\r\nHost: %b\r\n" % (method, target.path, target.origin.netloc)]
    lines += [b"%b: %b\r\n" % item for item in fields]
    lines.append(b"\r\n")
    head = b"".join(lines)
    ends = len(lines) + 1
    if head.count(b"\n") != ends or head.count(b"\r") != ends or b"\0" in head:
        raise Lost("the request has a header in which a line ends; it was not sent")
    return head

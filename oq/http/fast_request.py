"""Reads the head of a simple HTTP/1.1 request for the fast path. It is strict.

What is not plainly regular is nobody's business here: h11 judges it, as it judges all that comes
in. So this may refuse whatever it likes, and must never read another request out of the bytes than
h11 would: that is what smuggled requests are made of. httptools reads the head, and one expression
leaves out before that whatever two ends of a connection have ever disagreed about: line ends and
white space where they do not belong, bytes beyond ASCII. So are headers that are given twice, and
bodies whose end is not told by one length.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import httptools

MOST = 8192
"""Bytes of a head that is read here."""

_PLAIN = re.compile(
    rb"(?:GET|POST) /[!-~]* HTTP/1\.1(?:\r\n[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\x20-\x7e]*)+"
)
_LENGTH = re.compile(rb"0|[1-9][0-9]{0,17}")
_ODD = frozenset({b"transfer-encoding", b"expect", b"upgrade"})
"""These say that the body comes, or the connection goes on, in another way than the plain one."""
_CONNECTIONS = {b"keep-alive": True, b"close": False}


class Head(NamedTuple):
    """What the head of a request says. The names of headers are lower-case; `by_name` has the same
    headers. `end` is where it ends in the connection's data, and `length` that of the body.
    `keep_alive`: the client does not want the connection to end with this request.
    """

    method: bytes
    target: bytes
    headers: list[tuple[bytes, bytes]]
    by_name: dict[bytes, bytes]
    end: int
    length: int
    keep_alive: bool


class _Fields:
    """What httptools finds."""

    __slots__ = ("headers", "target")

    def __init__(self) -> None:
        self.target = b""
        self.headers: list[tuple[bytes, bytes]] = []

    def on_url(self, target: bytes) -> None:
        self.target += target

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value.strip(b" ")))


def read_head(data: bytes, limit: int) -> Head | None:
    """The head that `data` begins with, if it is whole and plain. `limit` is that of a body, in
    bytes.
    """
    end = data.find(b"\r\n\r\n", 0, MOST)
    if end < 0 or _PLAIN.fullmatch(data, 0, end) is None:
        return None
    end += 4
    fields = _Fields()
    parser = httptools.HttpRequestParser(fields)
    try:
        parser.feed_data(data[:end])
    except (httptools.HttpParserError, httptools.HttpParserUpgrade):
        return None
    by_name = dict(fields.headers)
    # One header a line: the lines of the head are the first one, and the empty one at its end.
    if not len(by_name) == len(fields.headers) == data.count(b"\r\n", 0, end) - 2:
        return None
    method = parser.get_method()
    length = _length(method, by_name)
    keep_alive = _CONNECTIONS.get(by_name.get(b"connection", b"keep-alive").lower())
    if length is None or length > limit or keep_alive is None:
        return None
    if not by_name.get(b"host") or not _ODD.isdisjoint(by_name):
        return None
    if not keep_alive and len(data) > end + length:
        return None  # there is something behind the last request
    return Head(method, fields.target, fields.headers, by_name, end, length, keep_alive)


def _length(method: bytes, headers: dict[bytes, bytes]) -> int | None:
    """The length of the body; None if it is not plain. A POST says it, and a GET has no body."""
    said = headers.get(b"content-length", b"0" if method == b"GET" else b"")
    if not _LENGTH.fullmatch(said):
        return None
    length = int(said)
    return None if length and method == b"GET" else length

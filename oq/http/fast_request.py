"""Reads the head of a simple HTTP/1.1 request for the fast path. It is strict.

What is not plainly regular is nobody's business here: h11 judges it, as it judges all that comes
in. So this may refuse whatever it likes, and must never read another request out of the bytes than
h11 would: that is what smuggled requests are made of. Whatever two ends of a connection have ever
disagreed about is left out for that reason: line ends and white space where they do not belong,
bytes beyond ASCII, headers that are given twice, bodies whose end is not told by one length.
"""

from __future__ import annotations

import re
from collections.abc import Container
from typing import NamedTuple

MOST = 8192
"""Bytes of a head that is read here."""
_LINE = 128
"""Bytes in which its first line must end."""

_FIELDS = re.compile(rb"(?:\r\n[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\x20-\x7e]*)+")
_LENGTH = re.compile(rb"0|[1-9][0-9]{0,17}")
_ODD = frozenset({b"transfer-encoding", b"expect", b"upgrade"})
"""These say that the body comes, or the connection goes on, in another way than the plain one."""


class Head(NamedTuple):
    """What a request's head says. `line` is its first line; the names of headers are lower-case.
    The body is what lies between the bytes `start` and `end` of the connection's data.
    """

    line: bytes
    headers: dict[bytes, bytes]
    start: int
    end: int


def read_head(data: bytes, lines: Container[bytes], limit: int) -> Head | None:
    """The head that `data` begins with, if it is whole, plain, and its first line one of `lines`.

    `limit` is that of a body, in bytes.
    """
    break_ = data.find(b"\r\n", 0, _LINE)
    if break_ < 0 or (line := data[:break_]) not in lines:
        return None
    end = data.find(b"\r\n\r\n", break_, MOST)
    if end < 0 or _FIELDS.fullmatch(data, break_, end) is None:
        return None
    fields = data[break_ + 2 : end].split(b"\r\n")
    headers = {}
    for field in fields:
        name, _, value = field.partition(b":")
        headers[name.lower()] = value.strip(b" ")
    if len(headers) != len(fields) or not _is_plain(headers):
        return None
    length = int(headers[b"content-length"])
    return Head(line, headers, end + 4, end + 4 + length) if length <= limit else None


def _is_plain(headers: dict[bytes, bytes]) -> bool:
    return bool(
        headers.get(b"host")
        and _LENGTH.fullmatch(headers.get(b"content-length", b""))
        and headers.get(b"connection", b"keep-alive").lower() == b"keep-alive"
        and _ODD.isdisjoint(headers)
    )

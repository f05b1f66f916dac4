"""Parts of an answer that is there whole, as RFC 9110, 14 has them: players of sound and video ask
for such to begin in the middle.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from werkzeug.exceptions import RequestedRangeNotSatisfiable

from oq.http.request import Request

_RANGE = re.compile(r"bytes=(?=.?\d)(\d{0,18})-(\d{0,18})", re.ASCII | re.IGNORECASE)
"""A number before or behind the dash, or both."""


class Part(NamedTuple):
    """The bytes from `begin` up to `end`, which is not in it, of an answer of `size` bytes."""

    begin: int
    end: int
    size: int

    def cut(self, data: bytes, at: int) -> bytes:
        """What of it is in this data, which stands at this place of the answer."""
        return data[max(self.begin - at, 0) : max(self.end - at, 0)]


def asked_part(request: Request, size: int) -> Part | None:
    """The part that the request asks for; None if it asks for the whole answer.

    RequestedRangeNotSatisfiable (416) if the part is none of an answer of `size` bytes. Several
    parts at once, and what is no range, are not looked at, as the RFC allows; nor is a range that
    is for one version of the answer only (If-Range), as answers have no names of versions.
    """
    said = request.header(b"range")
    if said is None or request.method != "GET" or request.header(b"if-range") is not None:
        return None
    asked = _RANGE.fullmatch(said.strip())
    if asked is None:
        return None
    first, last = (int(number) if number else None for number in asked.groups())
    if first is None:
        begin, end = size - min(last or 0, size), size
    else:
        begin, end = first, size if last is None else min(last + 1, size)
        if last is not None and last < first:
            return None
    if begin >= end:
        raise RequestedRangeNotSatisfiable(size, description=f"the answer has {size} bytes")
    return Part(begin, end, size)

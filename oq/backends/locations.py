"""Where a Location of a backend leads, as its callers ask for it: they know oq's address only.

A Location that leads to the backend itself becomes the path by which oq has it. Any other stays as
it is: what may pass, `oq.rules.headers` and `oq.http.gateway.locations` decide, and another server
may not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import httpx

from oq.rules.headers import LOCATION, Headers

_PORTS = {b"http": 80, b"https": 443}
_ADDRESS = re.compile(
    rb"(https?)://([^/?#\\@\s:]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?(?=[/?#]|\Z)", re.IGNORECASE
)
"""Scheme, host and port; without a user, whom nobody needs here."""


def as_asked(headers: Iterable[tuple[bytes, bytes]], url: httpx.URL) -> Headers:
    """The headers of the backend at this address, with its own places as oq's."""
    return [
        (name, _place(value, url)) if name.lower() == LOCATION else (name, value)
        for name, value in headers
    ]


def _place(location: bytes, url: httpx.URL) -> bytes:
    rest = location
    if (found := _ADDRESS.match(location)) is not None:
        scheme, host, port = found[1].lower(), found[2].lower(), found[3]
        there = (scheme, host, int(port) if port else _PORTS[scheme])
        scheme = url.raw_scheme
        if there != (scheme, _host(url), url.port or _PORTS.get(scheme)):
            return location
        rest = location[found.end() :]
        rest = rest if rest.startswith(b"/") else b"/" + rest
    base = url.raw_path.rstrip(b"/")
    inside = base and rest.startswith(base) and rest[len(base) :][:1] in (b"/", b"?", b"#")
    return rest[len(base) :] if inside else rest


def _host(url: httpx.URL) -> bytes:
    return b"[%b]" % url.raw_host if b":" in url.raw_host else url.raw_host

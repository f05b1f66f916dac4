"""Where a path is at a backend: a url made of parts.

Put behind a url as text, a path could change whose url it is: behind ``http://127.0.0.1:11434``
the text ``@evil.example/`` names another server.
"""

from __future__ import annotations

from functools import lru_cache

import httpx

from oq.backends.http1.connection import Origin
from oq.backends.http1.request import Target

_PORTS = {"http": 80, "https": 443}


def within(url: str, path: str) -> httpx.URL:
    """Scheme, host, port and path of `url`, and behind those `path`, with its query.

    httpx.InvalidURL if `path` does not begin with a slash.
    """
    base = httpx.URL(url)
    if not path.startswith("/"):
        raise httpx.InvalidURL(f"{path[:100]!r} is no path")
    return base.copy_with(raw_path=base.raw_path.rstrip(b"/") + path.encode("ascii"))


@lru_cache(maxsize=256)
def target(url: str, path: str) -> Target:
    """The same, as what a request is for."""
    where = within(url, path)
    port = where.port or _PORTS[where.scheme]
    host = where.raw_host.decode("ascii")
    return Target(Origin(where.scheme == "https", host, port, where.netloc), where.raw_path)

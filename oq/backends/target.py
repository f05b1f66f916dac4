"""Where a path is at a backend: a url made of parts.

Put behind a url as text, a path could change whose url it is: behind ``http://127.0.0.1:11434``
the text ``@evil.example/`` names another server.
"""

from __future__ import annotations

from functools import lru_cache

import httpx


@lru_cache(maxsize=256)
def within(url: str, path: str) -> httpx.URL:
    """Scheme, host, port and path of `url`, and behind those `path`, with its query.

    httpx.InvalidURL if `path` does not begin with a slash.
    """
    base = httpx.URL(url)
    if not path.startswith("/"):
        raise httpx.InvalidURL(f"{path[:100]!r} is no path")
    return base.copy_with(raw_path=base.raw_path.rstrip(b"/") + path.encode("ascii"))

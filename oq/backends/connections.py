"""The connections to a backend, as httpx has them."""

from __future__ import annotations

from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx

from oq.backends.bodies import in_one_piece

KEPT_FOR = 1.0
"""Seconds that an idle connection is kept: less than any server keeps it, so that no request meets
its end. Gunicorn closes it after 2, uvicorn, Node and llama.cpp after 5.
"""
KEPT_CONNECTIONS = 16
"""Connections that are kept for the next task. At each request httpcore's pool looks at all of
them once for every idle one: with 64, 300 tasks at once took three times as long (measured)."""


def open_client(url: str, api_key: str | None, connect_timeout: float) -> httpx.AsyncClient:
    """A pool of connections to the server at `url`; `connect_timeout` is in seconds."""
    return httpx.AsyncClient(
        # The scopes of the transport do the timing; httpx's own would each start anew.
        timeout=httpx.Timeout(None, connect=connect_timeout),
        # How many run at once is the queue's decision: a call never waits for another's connection.
        limits=httpx.Limits(max_keepalive_connections=KEPT_CONNECTIONS, keepalive_expiry=KEPT_FOR),
        headers=_headers(api_key),
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),  # one caller's, for all others
        event_hooks={"request": [in_one_piece]},
        trust_env=False,  # a proxy in the environment must not get what is for loopback
        # Plain HTTP needs no certificates, which take a while to load.
        verify=url.startswith("https:"),
    )


def _headers(api_key: str | None) -> dict[str, str]:
    headers = {
        "Accept-Encoding": "identity",  # compressing would hold back chunks
        "User-Agent": "oq",
    }
    if api_key is not None:
        headers["Authorization"] = f"Bearer {api_key}"
    return headers

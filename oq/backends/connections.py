"""What each request to a backend says, and its connections."""

from __future__ import annotations

from oq.backends.http1.client import Client
from oq.backends.http1.request import KEPT


def open_client(api_key: str | None, connect_timeout: float) -> Client:
    """A client for one server; `connect_timeout` is in seconds.

    It keeps no cookie, which would be one caller's for all others, and asks no proxy: one that is
    in the environment must not get what is for loopback. A call never waits for the connection of
    another: how many run at once is the queue's decision.
    """
    fields = [
        (b"Accept", b"*/*"),
        KEPT,
        (b"Accept-Encoding", b"identity"),  # compressing would hold back chunks
        (b"User-Agent", b"oq"),
    ]
    if api_key is not None:
        fields.append((b"Authorization", b"Bearer " + api_key.encode("ascii")))
    return Client(fields, connect_timeout)

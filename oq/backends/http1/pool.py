"""Connections that wait for the next request, the one that was used last in front.

What it does for a request does not grow with how many wait: only the one that is taken is looked
at, and each that is too old is closed once.
"""

from __future__ import annotations

from collections import deque

import trio

from oq.backends.http1.connection import Connection, Origin

KEPT_FOR = 1.0
"""Seconds that an idle connection is kept: less than any server keeps it, so that no request meets
its end. Gunicorn closes it after 2, uvicorn, Node and llama.cpp after 5.
"""
KEPT_CONNECTIONS = 64
"""Idle connections that are kept: as many as calls run at once at most servers. Each is an open
file."""


class Pool:
    """The idle connections of one client. Those on the left have waited longest."""

    def __init__(self) -> None:
        self._idle: deque[Connection] = deque()
        self._closed = False

    def take(self, origin: Origin) -> Connection | None:
        """One that leads there and that its server has left open; or none."""
        now = trio.current_time()
        while self._idle:
            connection = self._idle.pop()
            if connection.origin == origin and connection.kept_until > now and connection.is_idle:
                return connection
            connection.close()
        return None

    def keep(self, connection: Connection) -> None:
        """Its answer is whole, and its server leaves it open."""
        if self._closed:
            connection.close()
            return
        now = trio.current_time()
        connection.kept_until = now + KEPT_FOR
        self._idle.append(connection)
        while self._idle[0].kept_until <= now or len(self._idle) > KEPT_CONNECTIONS:
            self._idle.popleft().close()

    @property
    def has_open(self) -> bool:
        """Whether the connection that was kept last waits, and its server has left it open."""
        return bool(self._idle) and self._idle[-1].is_idle

    def close(self) -> None:
        """Close all of them, and those that come later."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()

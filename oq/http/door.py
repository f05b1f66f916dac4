"""The door: here a request is made, its caller is known, and the guard is asked. All requests pass
it: those of the fast path, those of oq's own API, and those of the gateway.
"""

from __future__ import annotations

from typing import Any

from oq.http.guard import Guard
from oq.http.request import Request
from oq.words.caller import Caller
from oq.words.config import ServerConfig


class Door:
    """Makes the requests of a server with these settings."""

    def __init__(self, server: ServerConfig) -> None:
        self._guard = Guard(server)

    def enter(self, scope: Any, headers: dict[bytes, bytes] | None = None) -> Request:
        """The request of this ASGI scope. Its verdict says whether it may be answered. `headers`
        are those of the scope, where they have been read into a dict before.
        """
        if headers is None:
            headers = dict(scope["headers"])
        verdict = self._guard.judge(scope, headers)
        return Request(scope=scope, headers=headers, caller=_caller(scope), verdict=verdict)


def _caller(scope: Any) -> Caller:
    """Everybody is the same caller, wherever from, as long as there are no keys."""
    client = scope.get("client")
    return Caller(address=client[0] if client else None)

"""The door: here a request is made, its caller is found out, and the guard is asked. All requests
pass it: those of the fast path, those of oq's own API, and those of the gateway.
"""

from __future__ import annotations

from typing import Any

from oq.http.guard import Guard, IsDropIn
from oq.http.request import Request
from oq.queue import Queue
from oq.words.caller import Caller


class Door:
    """Makes the requests of the server of a queue. `is_drop_in` says which are drop-in calls."""

    def __init__(self, queue: Queue, is_drop_in: IsDropIn) -> None:
        self._guard = Guard(queue.config, is_drop_in)
        self._queue = queue

    def enter(self, scope: Any, headers: dict[bytes, bytes] | None = None) -> Request:
        """The request of this ASGI scope. Its verdict says whether it may be answered. `headers`
        are those of the scope, where they have been read into a dict before.
        """
        if headers is None:
            headers = dict(scope["headers"])
        verdict = self._guard.judge(scope, headers)
        queue = self._queue.on_behalf_of(_caller(scope))
        return Request(scope=scope, headers=headers, queue=queue, verdict=verdict)


def _caller(scope: Any) -> Caller:
    """Everybody is the same caller, wherever from, as long as there are no keys."""
    client = scope.get("client")
    return Caller(address=client[0] if client else None)

"""Whether a server leaves a connection open after a stream.

llama.cpp closes each one then, though it says Keep-Alive, and one request in six was sent at that
moment and lost (measured). But to open another for each stream delays the first token by a fifth.

So a server is tried out: one stream gets a connection of its own. If that is still open a moment
later, streams use connections again. They stop as soon as a request is lost on one.
"""

from __future__ import annotations

from dataclasses import dataclass

import trio

from oq.backends.http1.client import Client

SETTLED = 0.1
"""Seconds after its stream in which a server that closes a connection has done so."""
PATIENCE = 600.0
"""Seconds until a server that does close is tried again: there may be another behind its address.
"""


@dataclass(slots=True)
class Trial:
    """The stream by which a server is tried, and its connection. `ended` is in trio's time."""

    client: Client
    ended: float | None = None

    @property
    def settled(self) -> bool:
        return self.ended is not None and trio.current_time() >= self.ended + SETTLED

    @property
    def is_open(self) -> bool:
        """Whether the server has left the connection open, and said nothing more on it."""
        return self.client.has_open


class Keeping:
    """What is known of one server."""

    def __init__(self) -> None:
        self.keeps = False
        """Whether a stream may use a connection that another has left."""
        self.trial: Trial | None = None
        self._closed_at: float | None = None

    def judge(self) -> Trial | None:
        """Learn from the trial if its time has come; it is then over, and to be closed."""
        trial = self.trial
        if trial is None or not trial.settled:
            return None
        self.trial = None
        if trial.is_open:
            self.keeps = True
        else:
            self.lost()
        return trial

    def may_try(self) -> bool:
        """Whether the next stream is to be a trial."""
        if self.keeps or self.trial is not None:
            return False
        return self._closed_at is None or trio.current_time() >= self._closed_at + PATIENCE

    def lost(self) -> None:
        """The server has closed a connection that was to be used again."""
        self.keeps = False
        self._closed_at = trio.current_time()

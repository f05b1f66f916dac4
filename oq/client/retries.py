"""Decides whether a request is sent again, and when. No I/O, no clock."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, TypeVar

import httpx

from oq.client.failures import garbled, refusal, unreached
from oq.client.requests import ApiRequest
from oq.words.errors import OqError, ServerNotReached, Unavailable
from oq.words.from_json import NOT_READ

T = TypeVar("T")

PATIENCE = 60.0
"""Seconds that those who wait for a task, a stream or events bear with a server that is away."""
HELD = 50.0
"""Seconds of one `?wait=`: less than the minute that proxies bear, long enough to cost nothing."""
BREATH = 0.05
"""Seconds between two of them: a server that holds none must not be asked in a tight loop."""

CLOSED = "this client is closed; make a new one"

_PAUSES = (0.05, 0.25)
"""Seconds before a safe call whose connection was lost is sent again."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0


OnAway = Callable[[OqError, float], object]
"""Called once when a wait finds the server away: with the error and the seconds of the wait."""


class Patience:
    """Bears with a server that is away for `seconds`, asking for it less and less often."""

    def __init__(self, seconds: float, on_away: OnAway | None = None) -> None:
        self.on_away = on_away
        self._seconds = seconds
        self._since: float | None = None
        self._pause = _FIRST_PAUSE
        self._told = False

    def met(self) -> None:
        """It answers: whatever was is forgotten."""
        self.answered()
        self._pause = _FIRST_PAUSE

    def answered(self) -> None:
        """It is there, but has not yet given what is asked for: only the pauses go on growing."""
        self._since = None
        self._told = False

    def pause(self, now: float, why: OqError | None = None) -> float | None:
        """It does not answer, at this time: seconds to wait before the next try; None: give up."""
        first = self._since is None
        if self._since is None:
            self._since = now
        if now - self._since >= self._seconds:
            return None
        # A connection that was cut may be made again at once; that is nothing to tell.
        if why is not None and (not first or isinstance(why, ServerNotReached)):
            self._tell(why)
        pause = self._pause * random.uniform(0.5, 1)  # noqa: S311 - so that not all come at once
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)
        return pause

    def _tell(self, why: OqError) -> None:
        if self.on_away is not None and not self._told:
            self._told = True
            self.on_away(why, self._seconds)


class Retries:
    """One call, sent as often as it may be.

    A safe one is sent again when its connection was lost underway; with `patience`, for so many
    seconds, also when nobody answers or the server says that it cannot just now.
    """

    def __init__(
        self,
        call: ApiRequest[Any],
        server: str,
        patience: float = 0.0,
        on_away: OnAway | None = None,
    ) -> None:
        self._call = call
        self._server = server
        self._patience = Patience(patience, on_away) if patience > 0 and call.safe else None
        self._pauses = iter(_PAUSES if call.safe else ())

    def pause(self, error: httpx.HTTPError | Unavailable, now: float) -> float:
        """Seconds after which to send it again; raises what went wrong when that is enough."""
        said = unreached(error, self._server) if isinstance(error, httpx.HTTPError) else error
        if self._patience is not None:
            pause = self._patience.pause(now, said)
        else:
            pause = next(self._pauses, None) if _lost(error) else None
        if pause is None:
            raise said from None
        return pause


def read(call: ApiRequest[T], response: httpx.Response, server: str) -> T:
    """What was asked for; one of oq's errors when the answer is another."""
    if not response.is_success:
        raise refusal(response, server, call.task_id)
    try:
        return call.read(response)
    except (ValueError, *NOT_READ):  # a link that is no URL is a ValueError
        raise garbled(server) from None


def _lost(error: Exception) -> bool:
    """Whether the connection broke after it was made, as one does that was idle for long."""
    return isinstance(error, (httpx.NetworkError, httpx.RemoteProtocolError)) and not isinstance(
        error, httpx.ConnectError
    )

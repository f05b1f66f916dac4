"""Whether a server that says nothing still lives.

Silence is no failure: a model may read a long prompt, or generate a whole answer, for as long as
its caller cares to wait. So a server that has been silent for a while is asked for something small,
on another connection. While it answers that, the wait goes on.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from math import inf

import trio

from oq.words.durations import format_duration
from oq.words.errors import BackendDown, BackendError

PROBES = 3
"""Probes in a row without an answer after which the server is down."""
PAUSE = 10.0
"""Seconds between two of these: a server may be busy for a moment."""

_OF_A_GATEWAY = frozenset({None, 502, 504})
"""What a probe gets if there is no answer, or if only a gateway before the server answers."""


@dataclass(slots=True)
class Heard:
    """When the server has last said something in one exchange, in trio's time."""

    at: float = field(default_factory=trio.current_time)

    def note(self) -> None:
        """It says something now."""
        self.at = trio.current_time()


class Silence:
    """Watches the exchanges with one server. `interval` is in seconds; `probe` asks the server for
    something, and raises BackendDown if it does not answer. `name` says which server it is.
    """

    def __init__(self, name: str, interval: float, probe: Callable[[], Awaitable[None]]) -> None:
        self._name = name
        self._interval = interval
        self._probe = probe
        self._asking = trio.Lock()
        self._lived_at = -inf
        self._died_at = -inf
        self._reason = ""

    async def watch(self, heard: Heard, exchange: Callable[[], Awaitable[None]]) -> None:
        """Do the exchange, which notes in `heard` when the server says something. BackendDown
        breaks it off if the server is silent and does not answer probes either.
        """
        error: Exception | None = None
        done = False

        async def look() -> None:
            await self._until_dead(heard)
            nursery.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(look)
            try:
                await exchange()
            except Exception as raised:  # raised below, and so not in a group
                error = raised
            done = True
            nursery.cancel_scope.cancel()
        if error is not None:
            raise error
        if not done:
            down = BackendDown(self._reason)
            down.ran = True
            raise down

    async def _until_dead(self, heard: Heard) -> None:
        """Return once the server is silent in this exchange and does not answer probes."""
        while True:
            # An answer to the probe of another exchange will do.
            due = max(heard.at, self._lived_at) + self._interval
            if due > trio.current_time():
                await trio.sleep_until(due)
                continue
            async with self._asking:
                if max(self._lived_at, self._died_at) < due:
                    await self._ask()
            if self._died_at >= due and heard.at + self._interval <= trio.current_time():
                return

    async def _ask(self) -> None:
        """Find out whether the server lives."""
        for number in range(PROBES):
            if number:
                await trio.sleep(PAUSE)
            reason = await self._asked_once()
            if reason is None:
                self._lived_at = trio.current_time()
                return
        self._died_at = trio.current_time()
        silent = format_duration(self._interval)
        self._reason = (
            f"{self._name} said nothing for {silent} (health.silence), and did not answer"
            f" {PROBES} probes: {reason}"
        )

    async def _asked_once(self) -> str | None:
        """Why a probe failed; None if it was answered, if only with an error."""
        try:
            await self._probe()
        except BackendError as error:
            return str(error) if error.status in _OF_A_GATEWAY else None
        return None

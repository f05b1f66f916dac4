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


@dataclass(slots=True, eq=False)
class Heard:
    """When the server has last said something in one exchange, in trio's time; what ends the
    exchange, and with which error.
    """

    at: float = field(default_factory=trio.current_time)
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    error: Exception | None = None

    def note(self) -> None:
        """It says something now."""
        self.at = trio.current_time()


class Silence:
    """Watches the exchanges with one server. `interval` is in seconds; `probe` asks the server for
    something, and raises BackendDown if it does not answer. `name` says which server it is.

    One task looks after all exchanges, and sleeps until one of them may have been silent for too
    long: a task for each would cost more than reading its answer. It is not a child of any of them,
    so it is one of trio's own; it ends when it finds none under way, or at `close`.
    """

    def __init__(self, name: str, interval: float, probe: Callable[[], Awaitable[None]]) -> None:
        self._name = name
        self._interval = interval
        self._probe = probe
        self._under_way: set[Heard] = set()
        self._looking: trio.CancelScope | None = None
        self._lived_at = -inf
        self._died_at = -inf
        self._reason = ""

    async def watch(self, heard: Heard, exchange: Callable[[], Awaitable[None]]) -> None:
        """Do the exchange, which notes in `heard` when the server says something. BackendDown
        breaks it off if the server is silent and does not answer probes either.
        """
        self._under_way.add(heard)
        if self._looking is None:
            self._looking = trio.CancelScope()
            trio.lowlevel.spawn_system_task(self._look, self._looking)
        try:
            with heard.scope:
                return await exchange()
        finally:
            self._under_way.discard(heard)
        assert heard.error is not None, "nobody else has the scope"
        raise heard.error

    def close(self) -> None:
        """Look no more, until there is another exchange."""
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None

    async def _look(self, scope: trio.CancelScope) -> None:
        """Look after the exchanges for as long as there are any."""
        with scope:
            try:
                while self._under_way:
                    await self._look_once()
            except Exception as error:  # of a probe: it would end the program, and no exchange
                for heard in tuple(self._under_way):
                    self._end(heard, error)
            self._looking = None

    async def _look_once(self) -> None:
        """Wait until an exchange may have been silent for too long; end those that are dead."""
        due = min(map(self._due, self._under_way))
        if due > trio.current_time():
            await trio.sleep_until(due)
            return
        if max(self._lived_at, self._died_at) < due:
            await self._ask()
        now = trio.current_time()
        for heard in tuple(self._under_way):
            if self._died_at >= self._due(heard) and heard.at + self._interval <= now:
                down = BackendDown(self._reason)
                down.ran = True
                self._end(heard, down)

    def _end(self, heard: Heard, error: Exception) -> None:
        """Break the exchange off. It is not looked at again before its task has noticed."""
        heard.error = error
        heard.scope.cancel()
        self._under_way.discard(heard)

    def _due(self, heard: Heard) -> float:
        """When the server is to be asked. An answer to the probe of another exchange will do."""
        return max(heard.at, self._lived_at) + self._interval

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

"""Which models the backends have: asked for people to look at, and so not too often."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec
import trio

from oq.backends.base import Backend
from oq.words.errors import BackendDown, BackendError
from oq.words.views import BackendStatus, BackendView, Models

TIMEOUT = 3.0
"""Seconds that a backend has to list its models."""
KEPT = 5.0
"""Seconds for which an answer, or the lack of one, is good enough for everybody."""


@dataclass(slots=True)
class _Entry:
    models: Models = field(default_factory=Models)
    problem: str | None = None
    down: bool = False
    until: float = -1.0
    asking: trio.Lock = field(default_factory=trio.Lock)


class Catalogue:
    """The models of each backend, as they were a few seconds ago. `on_down` is called with the name
    of one that turns out to be down, and why.
    """

    def __init__(self, on_down: Callable[[str, str], None]) -> None:
        self._on_down = on_down
        self._entries: dict[str, _Entry] = {}

    async def look(self, status: BackendStatus, backend: Backend) -> BackendView:
        """The backend with its models, or why there are none. Who asks meanwhile waits along."""
        entry = self._entries.setdefault(backend.name, _Entry())
        async with entry.asking:
            if trio.current_time() >= entry.until:
                entry.until = trio.current_time() + KEPT
                await self._ask(entry, backend)
        if entry.down:
            return view(msgspec.structs.replace(status, up=False, error=entry.problem), Models())
        return view(status, entry.models, entry.problem)

    async def _ask(self, entry: _Entry, backend: Backend) -> None:
        entry.models, entry.down = Models(), False
        entry.problem = f"{backend.url} did not list its models within {TIMEOUT:g} s"
        with trio.move_on_after(TIMEOUT):
            try:
                entry.models, entry.problem = await backend.models(), None
            except BackendDown as error:
                # Not kept: once it is up again it is asked again.
                entry.down, entry.problem, entry.until = True, str(error), -1.0
                self._on_down(backend.name, str(error))
            except BackendError as error:
                entry.problem = str(error)


def view(backend: BackendStatus, models: Models, problem: str | None = None) -> BackendView:
    """What is shown of a backend."""
    shown = msgspec.structs.asdict(backend) | {"error": backend.error or problem}
    return BackendView(**shown, models=models.models, loaded=models.loaded)

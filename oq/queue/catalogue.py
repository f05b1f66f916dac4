"""Which models the backends have: asked for people to look at, and so not too often."""

from __future__ import annotations

from dataclasses import dataclass, field

import trio

from oq.backends.base import Backend
from oq.words.errors import BackendError
from oq.words.status import BackendStatus, BackendView, Models

TIMEOUT = 3.0
"""Seconds that a backend has to list its models."""
KEPT = 5.0
"""Seconds for which an answer, or the lack of one, is good enough for everybody."""


@dataclass(slots=True)
class _Entry:
    models: Models = field(default_factory=Models)
    problem: str | None = None
    until: float = -1.0
    asking: trio.Lock = field(default_factory=trio.Lock)


class Catalogue:
    """The models of each backend, as they were a few seconds ago."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}

    async def look(self, backend: Backend) -> tuple[Models, str | None]:
        """Its models, and why there are none if it did not say. Who asks meanwhile waits along."""
        entry = self._entries.setdefault(backend.name, _Entry())
        async with entry.asking:
            if trio.current_time() >= entry.until:
                entry.models, entry.problem = await _ask(backend)
                entry.until = trio.current_time() + KEPT
        return entry.models, entry.problem


def view(backend: BackendStatus, models: Models, problem: str | None) -> BackendView:
    """What is shown of a backend."""
    return BackendView(
        name=backend.name,
        kind=backend.kind,
        url=backend.url,
        up=backend.up,
        running=backend.running,
        max_concurrency=backend.max_concurrency,
        error=backend.error or problem,
        models=models.models,
        loaded=models.loaded,
    )


async def _ask(backend: Backend) -> tuple[Models, str | None]:
    with trio.move_on_after(TIMEOUT):
        try:
            return await backend.models(), None
        except BackendError as error:
            return Models(), str(error)
    return Models(), f"{backend.url} did not list its models within {TIMEOUT:g} s"

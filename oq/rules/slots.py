"""The backends as a policy and the board see them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class BackendSlots:
    """One backend: how many tasks run on it, how many may, and why it is down, if it is."""

    name: str
    limit: int
    running: int = 0
    down: str | None = None
    loaded: frozenset[str] = frozenset()
    """The models that it has in memory, by the names that tasks have for them (`Place.model`): one
    with two names, as Ollama's ``llama3.2`` and ``llama3.2:latest``, is here by both. Empty until
    the scheduler is told (`BackendLoaded`); no part of oq asks backends for it yet."""

    @property
    def open(self) -> bool:
        """Whether a task can be started on it now."""
        return self.down is None and self.running < self.limit

    def take(self) -> None:
        """A task starts on it."""
        assert self.open, f"a task is started on {self.name}, which has no slot for it"
        self.running += 1

    def give_back(self) -> None:
        """A task that ran on it has stopped."""
        assert self.running > 0, f"a slot of {self.name} is given back twice"
        self.running -= 1

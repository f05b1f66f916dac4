"""How one attempt at running a task ended."""

from __future__ import annotations

from dataclasses import dataclass

from oq.words.task import Usage


@dataclass(frozen=True, slots=True)
class Completed:
    """The attempt gave `result`, the backend's final answer (a JSON object)."""

    result: bytes
    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """The attempt gave an error. `retryable` says whether another may succeed."""

    error: str
    retryable: bool
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The attempt was broken off by no fault of the task: a drain, or a backend that is down."""

    reason: str
    ran: bool = True
    """Whether the backend had begun; when not, no attempt is recorded."""


@dataclass(frozen=True, slots=True)
class Aborted:
    """The attempt was stopped because its user cancelled the task."""


Outcome = Completed | Failed | Interrupted | Aborted

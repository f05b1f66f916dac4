"""How one attempt at running a task ended."""

from __future__ import annotations

from msgspec import Struct

from oq.words.head import Head
from oq.words.task import Usage


class Timings(Struct, frozen=True, gc=False):
    """The times of one answer, in seconds, as the backend's last line says them. None: it does not.

    `waited` is the time inside the backend in which nothing was done for the call, such as in the
    line behind other calls. `load` is the wait for the model to be in memory, which those say too
    that only waited beside a load. `prompt` and `generate` are the work on the tokens.
    """

    waited: float | None = None
    load: float | None = None
    prompt: float | None = None
    generate: float | None = None


class Completed(Struct, frozen=True, gc=False):
    """The attempt gave `result`, the backend's final answer (a JSON object)."""

    result: bytes
    usage: Usage | None = None
    timings: Timings | None = None


class Refusal(Struct, frozen=True, array_like=True, omit_defaults=True):
    """What a backend answered instead of a result, for the caller to get as it is. Without a
    `status` it came in the middle of a stream. `head` is that of its answer, where it is known, and
    `frame` the line or event that an error within a stream came in.
    """

    status: int | None
    body: bytes
    head: Head | None = None
    frame: bytes | None = None


class Failed(Struct, frozen=True):
    """The attempt gave an error. `retryable` says whether another may succeed."""

    error: str
    retryable: bool
    retry_after: float | None = None
    refusal: Refusal | None = None
    """Kept for tasks that are calls."""


class Interrupted(Struct, frozen=True):
    """The attempt was broken off, or failed, by no fault of the task: a drain, a critical task that
    came, or a backend that is down or fails at all its tasks.
    """

    reason: str
    ran: bool = True
    """Whether the backend had begun; when not, no attempt is recorded."""
    delay: float = 0.0
    """Seconds until the task may be tried again."""


class Aborted(Struct, frozen=True):
    """The attempt was stopped because its user cancelled the task."""


Outcome = Completed | Failed | Interrupted | Aborted

"""Every error that a user of oq can meet, as one tree.

    OqError
    ├── InvalidTask          the request is wrong: which field, and why            400
    │   └── InvalidBatch     one or more items of a batch are wrong: which, and why
    ├── InvalidConfig        a setting is wrong: which key, which line, and why    (exit 2)
    ├── NotFound             no task has that id                                   404
    │   └── Removed              it had ended, and retention has removed it            410
    ├── Forbidden            the settings do not allow it                          403
    ├── LoopDetected         a request has come back to the oq that sent it        508
    ├── Conflict             the task's state does not allow it                    409
    ├── PayloadTooLarge      over ``queue.max_payload``                            413
    ├── QueueFull            ``queue.max_pending`` is reached; try again later     429
    ├── Unavailable          not now: draining, or the store cannot write          503
    │   ├── Busy                 more wishes than the writer takes at once
    │   └── ServerNotReached     nobody answers at the server's address                (exit 3)
    ├── TaskFailed           ``result()`` of a task that failed
    ├── TaskCancelled        ``result()`` of a task that was cancelled
    ├── StoreError           the data directory cannot be used
    │   ├── StoreLocked      another process has it open
    │   ├── StoreFull        no space left; reads go on, writes are refused
    │   └── StoreCorrupt     what is on disk is damaged, or older than what was acknowledged
    └── BackendError         one attempt at running a task did not succeed
        ├── BackendDown      nobody answers there: the task waits, no retry is spent
        ├── BackendFailure   worth a retry: lost connection, timeout, 408, 429, 5xx
        └── BackendRejected  final: any other 4xx, an unknown model, a bad request

The messages are for people: what happened, which value did it, what to do.
"""

from __future__ import annotations


class OqError(Exception):
    """The root of the tree."""


class InvalidTask(OqError):
    """A request that cannot become a task.

    ``field`` names the part that is wrong (``"payload.messages"``), ``reason`` says why.
    """

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}" if field else reason)
        self.field = field
        self.reason = reason


class InvalidBatch(InvalidTask):
    """One or more items of a batch are wrong. ``problems`` maps each bad index to the reason."""

    def __init__(self, problems: dict[int, str]) -> None:
        shown = "; ".join(f"item {index}: {why}" for index, why in sorted(problems.items()))
        super().__init__("", f"nothing was stored: {shown}")
        self.problems = problems


class InvalidConfig(OqError):
    """A setting that cannot be used. The message names its key and, in a file, its line."""


class NotFound(OqError):
    """No task has this id: it never existed, or it ended and was removed."""

    def __init__(self, task_id: str) -> None:
        super().__init__(f"there is no task {task_id[:64]!r}")
        self.task_id = task_id


class Removed(NotFound):
    """The task had ended, and retention (``queue.keep_completed``, ``queue.max_completed_tasks``)
    has removed it with its result.
    """

    def __init__(self, task_id: str, message: str) -> None:
        OqError.__init__(self, message)
        self.task_id = task_id


class Forbidden(OqError):
    """The settings do not allow what was asked."""


class LoopDetected(OqError):
    """A backend's address leads back to oq itself."""


class Conflict(OqError):
    """The task's state does not allow what was asked, or an idempotency key was used otherwise."""


class PayloadTooLarge(OqError):
    """A body or a payload of more bytes than ``limit``."""

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"the body is over the limit of {limit} bytes; raise queue.max_payload to allow it"
        )
        self.limit = limit


class QueueFull(OqError):
    """``queue.max_pending`` tasks wait already. ``retry_after`` is in seconds."""

    def __init__(self, limit: int, retry_after: float) -> None:
        super().__init__(
            f"the queue is full ({limit} tasks wait; queue.max_pending);"
            f" try again in {retry_after:.0f} s"
        )
        self.limit = limit
        self.retry_after = retry_after


class Unavailable(OqError):
    """Not now: the server is shutting down, cannot be reached, or cannot write."""


class Busy(Unavailable):
    """More is under way than the writer takes at once; a moment later there is room again."""

    def __init__(self) -> None:
        super().__init__("the queue is busy writing; try again")


class ServerNotReached(Unavailable):
    """Nobody answers at ``server``, or what answers is not oq."""

    def __init__(self, server: str, reason: str) -> None:
        super().__init__(f"no oq server at {server}: {reason}; start one with `oq serve`")
        self.server = server


class TaskFailed(OqError):
    """The task ended as failed; the message is its error."""

    def __init__(self, task_id: str, error: str) -> None:
        super().__init__(error)
        self.task_id = task_id


class TaskCancelled(OqError):
    """The task was cancelled."""

    def __init__(self, task_id: str) -> None:
        super().__init__(f"task {task_id} was cancelled")
        self.task_id = task_id


class StoreError(OqError):
    """The data directory cannot be used."""


class StoreLocked(StoreError):
    """Another process has the data directory open."""


class StoreFull(StoreError):
    """No space is left on the disk; nothing was lost, and writes work again once there is."""


class StoreCorrupt(StoreError):
    """What is on disk is damaged, or older than what was acknowledged."""


class BackendError(OqError):
    """One attempt at running a task did not succeed. ``status`` is the backend's HTTP status,
    ``body`` what it said with it, or in the middle of a stream.
    """

    def __init__(
        self, message: str, *, status: int | None = None, body: bytes | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body = body


class BackendDown(BackendError):
    """Nobody answers at the backend's address. The task never ran, so it spends no retry."""


class BackendFailure(BackendError):
    """The attempt failed in a way that another may not.

    ``retry_after`` (seconds) is what the backend asked for, if it did.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        body: bytes | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, status=status, body=body)
        self.retry_after = retry_after


class BackendRejected(BackendError):
    """The backend will never take this task; a retry would change nothing."""


def lone(error: BaseException) -> BaseException:
    """The one error in a nursery's group: that a nursery is at work is not its users' concern."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error

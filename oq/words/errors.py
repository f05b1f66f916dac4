"""Every error of oq, as one tree.

    OqError
    ├── InvalidTask          the request is wrong: which field, and why            400
    │   └── InvalidBatch     one or more items of a batch are wrong: which, and why
    ├── InvalidConfig        a setting is wrong: which key, which line, and why    (exit 2)
    ├── NotFound             no task has that id                                   404
    │   └── Removed              the task ended, and retention removed it              410
    ├── Forbidden            the settings do not allow it                          403
    ├── LoopDetected         a request came back to the oq server that sent it     508
    ├── Conflict             the task's state does not allow it                    409
    ├── PayloadTooLarge      a body of more bytes than ``queue.max_payload``       413
    ├── QueueFull            ``queue.max_pending`` is reached; try again later     429
    ├── Unavailable          not now: draining, or the store cannot write          503
    │   ├── Busy                 too many requests wait to be written to the disk
    │   ├── WaitTooLong          it would wait for longer than its client wants
    │   └── ServerNotReached     no oq server answers at this address                  (exit 3)
    ├── TaskFailed           ``result()`` of a task that failed
    ├── TaskCancelled        ``result()`` of a task that was cancelled
    ├── StoreError           the data directory cannot be used
    │   ├── StoreLocked      another process has it open
    │   ├── StoreFull        no space left on the disk; reads work, writes are refused
    │   └── StoreCorrupt     the data on disk is damaged, or acknowledged data is missing
    └── BackendError         one attempt at running a task did not succeed
        ├── BackendDown      the backend does not answer: the task waits, no retry is used
        ├── BackendFailure   worth a retry: lost connection, timeout, 408, 429, 5xx
        │   └── BackendBusy      it cannot take the task now: its line is full, or it loads a model
        └── BackendRejected  final: any other 4xx, 501, an unknown model, a bad request

The messages are for people: what happened, which value caused it, what to do.
"""

from __future__ import annotations

from math import ceil

from oq.words.head import Head


class OqError(Exception):
    """The base class of all errors of oq."""


class InvalidTask(OqError):
    """Something in a request is wrong.

    ``field`` names the part that is wrong, such as ``"payload.messages"``. ``reason`` says why.
    """

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}" if field else reason)
        self.field = field
        self.reason = reason


class InvalidBatch(InvalidTask):
    """One or more tasks of a batch are wrong, and none was stored.

    ``problems`` maps the index of each wrong task to the reason.
    """

    def __init__(self, problems: dict[int, str]) -> None:
        shown = "; ".join(f"item {index}: {why}" for index, why in sorted(problems.items()))
        super().__init__("", f"nothing was stored: {shown}")
        self.problems = problems


class InvalidConfig(OqError):
    """A setting is wrong. The message names its key and, if it is in a file, its line."""


class NotFound(OqError):
    """No task has this id: it never existed, or it was removed."""

    def __init__(self, task_id: str) -> None:
        super().__init__(f"there is no task {task_id[:64]!r}")
        self.task_id = task_id


class Removed(NotFound):
    """The task ended, and oq removed it later, with its result.

    The settings ``queue.keep_completed`` and ``queue.max_completed_tasks`` say when.
    """

    def __init__(self, task_id: str, message: str) -> None:
        OqError.__init__(self, message)
        self.task_id = task_id


class Forbidden(OqError):
    """The settings do not allow this request."""


class LoopDetected(OqError):
    """The address of a backend leads back to oq itself."""


class Conflict(OqError):
    """The task's state does not allow this, or the idempotency key belongs to a different task."""


class PayloadTooLarge(OqError):
    """The body or the payload has more bytes than ``limit``; with ``ratio``, it is compressed and
    has more than so many times its size once it is not.
    """

    def __init__(self, limit: int, *, ratio: int | None = None) -> None:
        super().__init__(
            f"the body is over the limit of {limit} bytes; raise queue.max_payload to allow it"
            if ratio is None
            else f"the compressed body has more than {ratio} times its size once it is read;"
            " send it uncompressed"
        )
        self.limit = limit


class QueueFull(OqError):
    """``queue.max_pending`` tasks are waiting already.

    ``retry_after`` is the number of seconds to wait before the next try.
    """

    def __init__(self, limit: int, retry_after: float) -> None:
        super().__init__(
            f"the queue is full ({limit} tasks are waiting; queue.max_pending);"
            f" try again in {ceil(retry_after)} s"
        )
        self.limit = limit
        self.retry_after = retry_after


class Unavailable(OqError):
    """Not possible now: the queue or the server is shutting down, cannot write to its disk, or
    cannot be reached.
    """


class Busy(Unavailable):
    """Too many requests wait to be written to the disk. Try again after a moment."""

    def __init__(self) -> None:
        super().__init__("too many requests wait to be written to the disk; try again")


class WaitTooLong(Unavailable):
    """The task would start in about `wait` seconds, and its client allows `most` (X-OQ-Max-Wait).

    ``retry_after`` is the number of seconds to wait before the next try.
    """

    def __init__(self, wait: float, most: float) -> None:
        self.wait = wait
        self.most = most
        self.retry_after = max(1.0, wait - most)
        super().__init__(
            f"it would start in about {ceil(wait)} s, and may wait for {most:g} s (X-OQ-Max-Wait);"
            f" try again in {ceil(self.retry_after)} s, or allow more"
        )


class ServerNotReached(Unavailable):
    """No oq server answers at the address ``server``."""

    def __init__(self, server: str, reason: str) -> None:
        super().__init__(f"no oq server at {server}: {reason}; start one with `oq serve`")
        self.server = server


class TaskFailed(OqError):
    """The task failed. The message is the task's error."""

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
    """No space is left on the disk. Nothing was lost. Writes work again once there is space."""


class StoreCorrupt(StoreError):
    """The data on disk is damaged, or data that was acknowledged is missing."""


class BackendError(OqError):
    """One attempt at running a task did not succeed.

    ``status`` is the backend's HTTP status, or the one that an error inside an answer stands for.
    ``body`` is the error that it sent. If that came in a stream, ``frame`` is the line or event
    that it came in, byte for byte. ``head`` is the head of the answer that is an error. ``body`` is
    a whole answer that passes ``as_it_came``, with its own status, where its API has a form for
    answers that failed.
    """

    frame: bytes | None = None
    head: Head | None = None
    as_it_came = False

    def __init__(
        self, message: str, *, status: int | None = None, body: bytes | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body = body


class BackendDown(BackendError):
    """The backend does not answer. The task did not run, so it uses no retry.

    ``ran`` says that the backend had the task when it fell silent. Then the attempt has failed.
    """

    ran = False


class BackendFailure(BackendError):
    """The attempt failed, and another attempt may succeed.

    ``retry_after`` is the number of seconds that the backend asked to wait, if it asked.
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


class BackendBusy(BackendFailure):
    """The backend cannot take the task now, and says so: its own line is full, or it loads a model.

    The task did not run.
    """


class BackendRejected(BackendError):
    """The backend refuses this task. A retry would not change that."""


def lone(error: BaseException) -> BaseException:
    """The one error in a nursery's group: users do not need to know that there is a nursery."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error

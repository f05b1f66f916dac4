"""The client for programs that block: one method a call, errors as in `oq.words.errors`."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from oq.client import calls
from oq.client.address import DEFAULT_SERVER, no_address, server_url
from oq.client.calls import Call, Tasks
from oq.client.tries import Tries, read
from oq.words.errors import TaskCancelled, TaskFailed, Unavailable
from oq.words.new import NewTask
from oq.words.status import QueueStatus
from oq.words.task import Status, Task

T = TypeVar("T")

_HELD = 60.0
"""Seconds of one `?wait=`: short enough for proxies, long enough to cost nothing."""
_BREATH = 0.05
"""Seconds between two of them: a server that holds none must not be asked in a tight loop."""


class Client:
    """A connection to the oq server at `server` (``"localhost:7125"``, ``"http://box/oq"``).

    `timeout` is what the server gets, in seconds, for each answer; waiting for a task comes on
    top. Every method raises `oq.words.errors.ServerNotReached` when nobody answers there. It may
    be used by several threads at once. Close it, or use it in a `with` block.
    """

    def __init__(
        self,
        server: str = DEFAULT_SERVER,
        *,
        timeout: float = 30,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.server = server_url(server)
        self._timeout = timeout
        try:
            self._http = httpx.Client(
                base_url=self.server,
                transport=transport,
                trust_env=False,  # a proxy meant for the internet must not see a local queue
                verify=self.server.startswith("https:"),  # loading certificates takes 20 ms
                headers={"User-Agent": "oq"},
            )
        except (httpx.InvalidURL, UnicodeError):
            raise no_address(server) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    def submit(self, task: NewTask, *, idempotency_key: str | None = None) -> str:
        """Put a task into the queue; its id comes once it is on the server's disk.

        Submitting again with the same key gives the first task's id, not a second task; without
        one each call has a key of its own, so that a lost connection does not duplicate.
        """
        return self._run(calls.submit(calls.draft(task), calls.new_key(idempotency_key)))

    def submit_many(self, tasks: Sequence[NewTask]) -> list[str]:
        """Put all of them into the queue, or none: InvalidBatch names every one that is wrong."""
        return self._run(calls.submit_many(calls.drafts(tasks)))

    def get(self, task_id: str, *, wait: float | None = None) -> Task:
        """The task as it is now, or, with `wait`, once it has ended or `wait` seconds are over."""
        if wait is None:
            return self._run(calls.get(task_id))
        deadline = time.monotonic() + wait
        while True:
            left = max(0.0, deadline - time.monotonic())
            task = self._run(calls.get(task_id, min(left, _HELD)))
            if task.status.ended or time.monotonic() >= deadline:
                return task
            time.sleep(_BREATH)

    def result(self, task_id: str, *, timeout: float | None = None) -> dict[str, Any]:
        """Wait until the task has ended; the model's own final answer.

        TaskFailed or TaskCancelled if it did not complete; TimeoutError after `timeout` seconds,
        and the task goes on.
        """
        task = self.get(task_id, wait=float("inf") if timeout is None else timeout)
        match task.status:
            case Status.COMPLETED:
                return task.result or {}
            case Status.FAILED:
                raise TaskFailed(task_id, task.error or "no reason was given")
            case Status.CANCELLED:
                raise TaskCancelled(task_id)
        raise TimeoutError(f"task {task_id} is {task.status} after {timeout:g} s; it goes on")

    def list(
        self,
        *,
        status: str | Iterable[str] = (),
        type: str | Iterable[str] = (),
        priority: int | str | Iterable[int | str] = (),
        model: str | Iterable[str] = (),
        limit: int | None = None,
        offset: int | None = None,
        after: str | None = None,
    ) -> Tasks:
        """The tasks that match, newest first; the server gives 1000 unless `limit` says else.

        `after` is the id below which to go on. More than 1000 come in several requests.
        """
        listing = calls.Listing(
            limit, status=status, type=type, priority=priority, model=model,
            offset=offset, after=after,
        )  # fmt: skip
        while (call := listing.next()) is not None:
            listing.add(self._run(call))
        return listing.tasks

    def status(self) -> QueueStatus:
        """The queue at a glance."""
        return self._run(calls.status())

    def cancel(self, task_id: str) -> None:
        """Stop the task, also while it runs; Conflict if it has ended."""
        self._run(calls.cancel(task_id))

    def set_priority(self, task_id: str, priority: int | str) -> None:
        """Move a pending task; Conflict if it is not pending any more."""
        self._run(calls.set_priority(task_id, priority))

    def retry(self, task_id: str) -> None:
        """Queue a failed or cancelled task again; Conflict if it is neither."""
        self._run(calls.retry(task_id))

    def delete(self, task_id: str) -> None:
        """Forget an ended task; Conflict if it has not ended."""
        self._run(calls.delete(task_id))

    def pause(self) -> None:
        """Start no more tasks; what runs goes on, and submitting too."""
        self._run(calls.pause())

    def resume(self) -> None:
        """Start tasks again."""
        self._run(calls.resume())

    def _run(self, call: Call[T], patience: float = 0.0) -> T:
        tries = Tries(call, self.server, patience)
        while True:
            try:
                response = self._http.send(call.request(self._http, self._timeout))
                return read(call, response, self.server)
            except (httpx.HTTPError, Unavailable) as error:
                pause = tries.pause(error, time.monotonic())
            except UnicodeError:  # a host's name that the domain name system cannot hold
                raise no_address(self.server) from None
            time.sleep(pause)

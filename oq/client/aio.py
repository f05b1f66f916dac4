"""The client for asyncio and trio: one method a call, errors as in `oq.words.errors`."""

from __future__ import annotations

import builtins
import time
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Self, TypeVar

import anyio
import httpx
from anyio.abc import TaskGroup

from oq.client import calls
from oq.client.address import DEFAULT_SERVER, no_address, server_url
from oq.client.calls import Call
from oq.client.mailer import Mailer
from oq.client.tries import Tries, read
from oq.words.errors import Unavailable
from oq.words.new import NewTask
from oq.words.status import QueueStatus
from oq.words.task import Task

T = TypeVar("T")

CONNECTIONS = 16
"""Calls that are under way at once; others wait for one of them to end."""


class AsyncClient:
    """A connection to the oq server at `server` (``"localhost:7125"``, ``"http://box/oq"``).

    ``async with oq.AsyncClient() as queue: ...``, under asyncio and under trio. `timeout` is what
    the server gets, in seconds, for each answer; waiting for a task comes on top. Every method
    raises ServerNotReached when nobody answers there. Any number of tasks may use it at once, until
    the block is left: then whatever still waits here is cancelled, and nothing goes on behind.
    """

    def __init__(
        self,
        server: str = DEFAULT_SERVER,
        *,
        timeout: float = 30,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.server = server_url(server)
        self._timeout = timeout
        try:
            self._http = httpx.AsyncClient(
                base_url=self.server,
                transport=transport,
                trust_env=False,  # a proxy meant for the internet must not see a local queue
                verify=self.server.startswith("https:"),  # loading certificates takes 20 ms
                headers={"User-Agent": "oq"},
            )
        except (httpx.InvalidURL, UnicodeError):
            raise no_address(server) from None
        self._group: TaskGroup | None = None

    async def __aenter__(self) -> Self:
        if self._group is not None:
            raise RuntimeError("this AsyncClient is open already, or was")
        self._group = anyio.create_task_group()
        await self._group.__aenter__()
        self._turns = anyio.Semaphore(CONNECTIONS)
        self._mailer = Mailer(self._run, self._group)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        assert self._group is not None
        self._group.cancel_scope.cancel()
        cancelled = isinstance(error, anyio.get_cancelled_exc_class())
        try:
            # An error of the block leaves it as it is, not in a group; only a cancellation has to
            # be seen by the group, which may be what was cancelled.
            seen = (kind, error, trace) if cancelled else (None, None, None)
            swallowed = await self._group.__aexit__(*seen)
        except BaseExceptionGroup as group:
            raise _lone(group) from None
        finally:
            with anyio.CancelScope(shield=True):
                await self._http.aclose()
        return swallowed and cancelled

    async def submit(self, task: NewTask, *, idempotency_key: str | None = None) -> str:
        """Put a task into the queue; its id comes once it is on the server's disk.

        Tasks that are submitted while a request is in flight go together in the next one; each gets
        its own id, or its own error. Submitting again with the same key gives the first task's id,
        not a second task.
        """
        return await self._opened()._mailer.submit(calls.draft(task), idempotency_key)

    async def submit_many(self, tasks: Sequence[NewTask]) -> builtins.list[str]:
        """Put all of them into the queue, or none: InvalidBatch names every one that is wrong."""
        return await self._run(calls.submit_many(calls.drafts(tasks)))

    async def get(self, task_id: str) -> Task:
        """The task as it is now."""
        return await self._run(calls.get(task_id))

    async def list(
        self,
        *,
        status: str | Iterable[str] = (),
        type: str | Iterable[str] = (),
        priority: int | str | Iterable[int | str] = (),
        model: str | Iterable[str] = (),
        limit: int | None = None,
        offset: int | None = None,
        after: str | None = None,
    ) -> builtins.list[Task]:
        """The tasks that match, newest first; the server gives 1000 unless `limit` says else.

        `after` is the id below which to go on. More than 1000 come in several requests.
        """
        listing = calls.Listing(
            limit, status=status, type=type, priority=priority, model=model,
            offset=offset, after=after,
        )  # fmt: skip
        while (call := listing.next()) is not None:
            listing.add(await self._run(call))
        return listing.tasks

    async def status(self) -> QueueStatus:
        """The queue at a glance."""
        return await self._run(calls.status())

    async def cancel(self, task_id: str) -> None:
        """Stop the task, also while it runs; Conflict if it has ended."""
        await self._run(calls.cancel(task_id))

    async def set_priority(self, task_id: str, priority: int | str) -> None:
        """Move a pending task; Conflict if it is not pending any more."""
        await self._run(calls.set_priority(task_id, priority))

    async def retry(self, task_id: str) -> None:
        """Queue a failed or cancelled task again; Conflict if it is neither."""
        await self._run(calls.retry(task_id))

    async def delete(self, task_id: str) -> None:
        """Forget an ended task; Conflict if it has not ended."""
        await self._run(calls.delete(task_id))

    async def pause(self) -> None:
        """Start no more tasks; what runs goes on, and submitting too."""
        await self._run(calls.pause())

    async def resume(self) -> None:
        """Start tasks again."""
        await self._run(calls.resume())

    def _opened(self) -> Self:
        if self._group is None:
            raise RuntimeError("open it first: async with oq.AsyncClient(...) as queue")
        return self

    async def _run(self, call: Call[T], patience: float = 0.0) -> T:
        tries = Tries(call, self.server, patience)
        turns = self._opened()._turns
        while True:
            try:
                async with turns:
                    response = await self._http.send(call.request(self._http, self._timeout))
                return read(call, response, self.server)
            except (httpx.HTTPError, Unavailable) as error:
                pause = tries.pause(error, time.monotonic())
            except UnicodeError:  # a host's name that the domain name system cannot hold
                raise no_address(self.server) from None
            await anyio.sleep(pause)


def _lone(group: BaseException) -> BaseException:
    """The one error in the groups that task groups make."""
    while isinstance(group, BaseExceptionGroup) and len(group.exceptions) == 1:
        group = group.exceptions[0]
    return group

"""The client for asyncio and trio: one method a call, errors as in `oq.words.errors`."""

from __future__ import annotations

import builtins
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

import anyio
import httpx
from anyio.abc import TaskGroup

from oq.client import requests
from oq.client.address import DEFAULT_SERVER, connecting, no_address, server_url
from oq.client.aio_follow import AsyncFollowing
from oq.client.follow import EndFollower, EventFollower, Follower, StreamFollower
from oq.client.handover import OnDone, Sends, hand_over
from oq.client.lifetime import Alone, Closing
from oq.client.requests import ApiRequest
from oq.client.retries import PATIENCE, OnAway, Retries, read
from oq.client.submit_sender import SubmitSender
from oq.client.task_groups import background, together
from oq.client.watcher import Watcher
from oq.words.arguments import lists_keywords
from oq.words.bulk import BulkOutcome
from oq.words.durations import Time, seconds_of
from oq.words.errors import Unavailable
from oq.words.events import Event, Lagged
from oq.words.new import NewTask
from oq.words.stats import Stats
from oq.words.stream import Chunk
from oq.words.task import Summary, Task
from oq.words.views import BackendView, QueueStatus
from oq.words.which import Count, Wanted, Which

T = TypeVar("T")

CONNECTIONS = 16
"""Calls that are under way at once; others wait for one of them to end."""


class AsyncClient:
    """A connection to the oq server at `server` (``"localhost:7125"``, ``"http://box/oq"``).

    ``async with oq.AsyncClient() as queue: ...``, under asyncio and under trio. Or without a block,
    as in the cells of a notebook: ``queue = oq.AsyncClient()``, and at the end ``await
    queue.aclose()``.

    `timeout` is what the server gets for each answer; waiting for a task comes on top. Every method
    raises ServerNotReached when nobody answers there; those that wait (`result`, `run_batch`,
    `stream`, `subscribe`) bear with that for `patience`, so that they survive a restart. Both are
    seconds, ``"5m"`` or a timedelta, as is every time to wait here. `on_away` is called with why
    and for how many seconds when such a wait finds the server away.

    Any number of tasks of one event loop may use it at once, until it is closed: then whatever
    still waits here is told so, and nothing goes on behind.
    """

    def __init__(
        self,
        server: str = DEFAULT_SERVER,
        *,
        timeout: Time = 30,
        patience: Time = PATIENCE,
        on_away: OnAway | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.server = server_url(server)
        self._timeout = seconds_of("timeout", timeout)
        self._patience = seconds_of("patience", patience)
        self._on_away = on_away
        try:
            self._http = httpx.AsyncClient(
                transport=transport,
                **connecting(self.server),
                # Calls take turns, see `_run`; streams are as many as are asked for.
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=CONNECTIONS),
            )
        except (httpx.InvalidURL, UnicodeError):
            raise no_address(server) from None
        self._open = AsyncExitStack()
        self._group: TaskGroup | None = None
        self._alone: Alone | None = None
        self._closing = Closing()

    async def __aenter__(self) -> Self:
        self._closing.check()
        if self._group is not None or self._alone is not None:
            raise RuntimeError("this AsyncClient is open already; a block of its own needs its own")
        return await self._enter()

    async def _enter(self) -> Self:
        await self._open.enter_async_context(self._http)
        self._group = await self._open.enter_async_context(background())
        self._turns = anyio.Semaphore(CONNECTIONS)
        self._sender = SubmitSender(self._run, self._group)
        self._watcher = Watcher(self._run_patiently, self._follow_ends, self._group)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        self._closing.close()
        return await self._open.__aexit__(kind, error, trace)

    async def aclose(self) -> None:
        """Close it, also within its block. Whatever still waits is told that the client was closed;
        from then on every method raises Unavailable. Closing twice is no error.

        Raises what a callback has raised, if the client was not opened by a block.
        """
        self._closing.close()
        if self._alone is not None:
            await self._alone.aclose()
        await self._http.aclose()

    async def submit(
        self,
        task: NewTask,
        *,
        idempotency_key: str | None = None,
        on_done: OnDone | None = None,
        results_to: Sends | None = None,
    ) -> str:
        """Put a task into the queue; its id comes once it is on the server's disk.

        Tasks that are submitted while a request is in flight go together in the next one; each gets
        its own id, or its own error. Submitting again with the same key gives the first task's id,
        not a second task.

        When the task has ended, it is sent to `results_to` and `on_done` is called with it, and
        awaited if it is async; both while this client is open, and neither keeps it open. What
        `on_done` raises ends the client's block. Raises InvalidTask, Conflict (the key was used for
        another task), PayloadTooLarge, QueueFull, Unavailable.
        """
        group = await self._opened()
        task_id = await self._sender.submit(requests.draft(task), idempotency_key)
        if on_done is not None or results_to is not None:
            group.start_soon(self._hand_over, task_id, on_done, results_to)
        return task_id

    async def submit_many(self, tasks: Sequence[NewTask]) -> builtins.list[str]:
        """Put all of them into the queue, or none: InvalidBatch names every one that is wrong."""
        await self._opened()
        drafts = requests.drafts(tasks)
        return await self._run(requests.submit_many(drafts)) if drafts else []

    async def run_batch(self, tasks: Sequence[NewTask]) -> builtins.list[Task]:
        """Submit the tasks in one commit and wait for all; the ended tasks, in the same order.

        NotFound if one of them was deleted before it could be read, and Removed if the server
        keeps none for so long (`queue.keep_completed`).
        """
        ended: dict[str, Task] = {}

        async def wait_for(task_id: str) -> None:
            ended[task_id] = await self._watcher.ended(task_id)

        ids = await self.submit_many(tasks)
        async with together() as waits:
            for task_id in ids:
                waits.start_soon(wait_for, task_id)
        return [ended[task_id] for task_id in ids]

    async def get(self, task_id: str, *, wait: Time | None = None) -> Task:
        """The task as it is now or, with `wait`, once it has ended or that time is over.

        Raises NotFound.
        """
        await self._opened()
        seconds = 0.0 if wait is None else seconds_of("wait", wait)
        if seconds > 0:
            with anyio.move_on_after(seconds):
                return await self._watcher.ended(task_id)
        return await self._run(requests.get(task_id))

    async def result(self, task_id: str, *, timeout: Time | None = None) -> dict[str, Any]:
        """Wait until the task has ended; the model's own final answer.

        Any number may be waited for at once: they share a few connections. TaskFailed or
        TaskCancelled if it did not complete; NotFound; TimeoutError after `timeout`, and the
        task goes on; Unavailable when the server is away for longer than the client's patience.
        """
        wait = float("inf") if timeout is None else seconds_of("timeout", timeout)
        return requests.outcome(await self.get(task_id, wait=wait), wait)

    @asynccontextmanager
    async def stream(
        self, task_id: str, *, offset: int = 0, attempt: int | None = None
    ) -> AsyncIterator[AsyncIterator[Chunk]]:
        """``async with queue.stream(id) as chunks: async for chunk in chunks: ...``

        What the task generates, as it is generated, to the chunk that has `done`; all of it, of a
        task that has ended. A connection that is lost is made again, and goes on where it was.
        `offset` and `attempt`, from the last chunk that you have, go on from there.

        Iterating raises NotFound, Unavailable after the client's patience.
        """
        await self._opened()
        follower = StreamFollower(self.server, self._patience, task_id, offset, attempt)
        async with self._follow(follower) as chunks:
            yield chunks

    @asynccontextmanager
    async def subscribe(
        self,
        types: str | Iterable[str] | None = None,
        *,
        task_id: str | None = None,
        after: int | None = None,
    ) -> AsyncIterator[AsyncIterator[Event | Lagged]]:
        """``async with queue.subscribe() as events: async for event in events: ...``

        Every event from when the block is entered, or from after the one with seq `after`; without
        `types` all but progress. A connection that is lost is made again, and goes on where it was;
        Lagged says how many events could not be had. Entering raises InvalidTask, and Unavailable;
        iterating Unavailable after the client's patience.
        """
        await self._opened()
        follower = EventFollower(self.server, self._patience, types, task_id, after)
        async with self._follow(follower) as events:
            await events.greeting(follower)
            yield events

    @lists_keywords(Wanted)
    async def list(self, **wanted: Unpack[Wanted]) -> builtins.list[Task]:
        """The tasks that match, the newest first: ``list(status="failed", limit=10)``. The
        keywords are those of `oq.words.which.Wanted`; without a `limit` there are at most 1000.

        More than 1000 come in several requests. Of big tasks `list_summaries` gives less. Raises
        InvalidTask.
        """
        return await self._listed(requests.Listing(Task, wanted))

    @lists_keywords(Wanted)
    async def list_summaries(self, **wanted: Unpack[Wanted]) -> builtins.list[Summary]:
        """The same without payloads, options and results, with how each prompt begins."""
        return await self._listed(requests.Listing(Summary, wanted))

    @lists_keywords(Which)
    async def count(self, **which: Unpack[Which]) -> Count:
        """How many tasks match; at least so many, when they are too many to look at. InvalidTask
        names what is wrong.
        """
        return await self._run(requests.count(which))

    async def status(self) -> QueueStatus:
        """The queue at a glance."""
        return await self._run(requests.status())

    async def cancel(self, task_id: str) -> None:
        """Stop the task, also while it runs; Conflict if it has ended."""
        await self._run(requests.cancel(task_id))

    async def set_priority(self, task_id: str, priority: int | str) -> None:
        """Move a pending task; Conflict if it is not pending any more."""
        await self._run(requests.set_priority(task_id, priority))

    async def retry(self, task_id: str) -> None:
        """Queue a failed or cancelled task again; Conflict if it is neither."""
        await self._run(requests.retry(task_id))

    async def delete(self, task_id: str) -> None:
        """Forget an ended task; Conflict if it has not ended."""
        await self._run(requests.delete(task_id))

    @lists_keywords(Which)
    async def bulk(
        self,
        action: str,
        ids: Sequence[str] | None = None,
        to: int | str | None = None,
        **which: Unpack[Which],
    ) -> BulkOutcome:
        """Ask the same of many tasks: ``bulk("retry", status="failed")``.

        `action` is cancel, retry, delete or, with the priority `to`, priority. Which tasks: those
        `ids`, or all that match.

        What is refused for a single task is told of it in the outcome. Raises InvalidTask.
        """
        return await self._run(requests.bulk(action, ids, to, which))

    async def backends(self) -> builtins.list[BackendView]:
        """The servers that run models, and the models that they say they have."""
        return await self._run(requests.backends())

    async def stats(self, window: str = "15m") -> Stats:
        """What happened lately, interval by interval: in the last ``"15m"`` or ``"24h"``."""
        return await self._run(requests.stats(window))

    async def pause(self) -> None:
        """Start no more tasks; what runs goes on, and submitting too."""
        await self._run(requests.pause())

    async def resume(self) -> None:
        """Start tasks again."""
        await self._run(requests.resume())

    async def _listed(self, listing: requests.Listing[T]) -> builtins.list[T]:
        while (call := listing.next()) is not None:
            listing.add(await self._run(call))
        return listing.tasks

    async def _opened(self) -> TaskGroup:
        """Where its tasks run. Used without a block, it lives on a task of its own from here on."""
        if self._alone is not None:
            await self._alone.opened()
        self._closing.check()
        if self._group is None:
            self._alone = Alone(self._live)
            await self._alone.opened()
        assert self._group is not None
        return self._group

    @asynccontextmanager
    async def _live(self) -> AsyncIterator[None]:
        async with self._open:
            await self._enter()
            try:
                yield
            finally:
                self._closing.close()

    async def _run(self, call: ApiRequest[T], patience: float = 0.0, *, held: bool = False) -> T:
        retries = Retries(call, self.server, patience, self._on_away)
        while True:
            await self._opened()
            try:
                if held:  # the server keeps it: not a turn that others wait for
                    response = await self._send(call)
                else:
                    async with self._turns:
                        response = await self._send(call)
                return read(call, response, self.server)
            except (httpx.HTTPError, Unavailable) as error:
                pause = retries.pause(error, time.monotonic())
            except UnicodeError:  # a host's name that the domain name system cannot hold
                raise no_address(self.server) from None
            await anyio.sleep(pause)

    async def _send(self, call: ApiRequest[Any]) -> httpx.Response:
        request = call.request(self._http, self._timeout)
        return await self._closing.run(lambda: self._http.send(request))

    async def _run_patiently(self, call: ApiRequest[T], *, held: bool = False) -> T:
        return await self._run(call, self._patience, held=held)

    def _follow_ends(self) -> AsyncFollowing[Any]:
        follower = EndFollower(self.server, self._patience)
        return self._follow(follower)

    async def _hand_over(
        self, task_id: str, on_done: OnDone | None, results_to: Sends | None
    ) -> None:
        await hand_over(await self._watcher.ended(task_id), on_done, results_to)

    def _follow(self, follower: Follower[T]) -> AsyncFollowing[T]:
        follower.tell(self._on_away)
        return AsyncFollowing(follower, self._http, self.server, self._timeout, self._closing)

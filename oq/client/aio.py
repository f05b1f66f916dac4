"""The client for asyncio and trio. It raises the errors of `oq.words.errors`."""

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
from oq.client.timeouts import answer_timeout
from oq.client.watcher import Watcher
from oq.words.arguments import lists_keywords
from oq.words.bulk import BulkOutcome
from oq.words.durations import Time, seconds_of
from oq.words.errors import Unavailable
from oq.words.events import Event, Lagged
from oq.words.new import NewTask
from oq.words.stats import Stats, StatsByModel
from oq.words.stream import Chunk
from oq.words.task import Summary, Task
from oq.words.views import BackendView, QueueStatus
from oq.words.which import Count, Wanted, Which

T = TypeVar("T")

CONNECTIONS = 16
"""Calls that run at once; others wait until one of them has ended."""


class AsyncClient:
    """A client of the oq server at the address `server`, such as ``"localhost:7125"`` or
    ``"http://box/oq"``.

    Under asyncio or trio: ``async with oq.AsyncClient() as queue: ...``. It also works without a
    block, for example in a notebook: ``queue = oq.AsyncClient()``, and at the end ``await
    queue.aclose()``.

    `timeout` is the longest time for one answer of the server, not counting the time that a call
    waits for a task. If no server answers, every method raises ServerNotReached. But methods that
    wait (`result`, `run_batch`, `stream`, `subscribe`) first try again for `patience`, so a restart
    of the server does not disturb them. When such a wait finds the server away, `on_away` is called
    once, with the error and the number of seconds of the wait. All times are seconds, ``"5m"`` or a
    timedelta; infinity means no limit.

    Any number of tasks of one event loop may use it at once. When it is closed, calls that still
    wait raise Unavailable, and nothing runs in the background any more.
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
        self._timeout = answer_timeout(timeout)
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
            raise RuntimeError("this AsyncClient is open already; make another one for this block")
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
        """Close the client. It may be called inside the client's block too. Calls that still wait,
        and all later calls, raise Unavailable. Closing twice is no error.

        If the client is used without a block, an exception of an `on_done` is raised here.
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
        max_wait: Time | None = None,
        on_done: OnDone | None = None,
        results_to: Sends | None = None,
    ) -> str:
        """Put a task into the queue. Return its id once the task is on the server's disk.

        Tasks that are submitted while a request is in flight share the next one. If the same task
        was submitted with the same `idempotency_key` before, no second task is made, and the id is
        that of the first. With `max_wait` one that is expected to start later is refused at once.

        When the task has ended, the client sends it to `results_to` and calls `on_done` with it.
        `on_done` may be async. This happens only while the client is open; closing does not wait
        for it. An exception in `on_done` ends the client's block.

        Raises InvalidTask, Conflict (the key belongs to a different task), PayloadTooLarge,
        QueueFull, WaitTooLong, Unavailable.
        """
        group = await self._opened()
        task_id = await self._sender.submit(requests.draft(task), idempotency_key, max_wait)
        if on_done is not None or results_to is not None:
            group.start_soon(self._hand_over, task_id, on_done, results_to)
        return task_id

    async def submit_many(
        self, tasks: Sequence[NewTask], *, max_wait: Time | None = None
    ) -> builtins.list[str]:
        """Put all tasks into the queue, or none. Return their ids in the same order. With
        `max_wait` they are refused at once if the first of them is expected to start later.

        Raises InvalidBatch, which names every task that is wrong, PayloadTooLarge, QueueFull,
        WaitTooLong, Unavailable.
        """
        await self._opened()
        drafts = requests.drafts(tasks)
        return await self._run(requests.submit_many(drafts, max_wait)) if drafts else []

    async def run_batch(self, tasks: Sequence[NewTask]) -> builtins.list[Task]:
        """Submit all tasks, or none, and wait until all have ended. Return them in the same order.

        Raises NotFound if somebody deleted a task before it was read, and Removed if retention
        removed it (`queue.keep_completed`).
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
        """The task as it is now. With `wait` it first waits, at most so long, until the task ends.

        Raises NotFound.
        """
        await self._opened()
        seconds = 0.0 if wait is None else seconds_of("wait", wait)
        if seconds > 0:
            with anyio.move_on_after(seconds):
                return await self._watcher.ended(task_id)
        return await self._run(requests.get(task_id))

    async def result(self, task_id: str, *, timeout: Time | None = None) -> dict[str, Any]:
        """Wait until the task has ended. Return the final answer of the backend, a dict.

        You may wait for any number of tasks at once: these calls share a few connections.

        Raises TaskFailed or TaskCancelled if the task did not complete, StoreCorrupt if its result
        cannot be read from the disk any more, NotFound, TimeoutError after `timeout` (the task goes
        on), and Unavailable if the server is away for longer than `patience`.
        """
        wait = float("inf") if timeout is None else seconds_of("timeout", timeout)
        return requests.outcome(await self.get(task_id, wait=wait), wait)

    @asynccontextmanager
    async def stream(
        self, task_id: str, *, offset: int = 0, attempt: int | None = None
    ) -> AsyncIterator[AsyncIterator[Chunk]]:
        """``async with queue.stream(id) as chunks: async for chunk in chunks: ...``

        The chunks that the task generates, from the first chunk on. New chunks come as they are
        generated. The last chunk has `done`. If the connection is lost, the client connects again
        and continues at the same place. To continue an earlier stream, give the `offset` and the
        `attempt` of the last chunk that you have.

        Iterating raises NotFound, and Unavailable if the server is away for longer than `patience`.
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

        The events from now on. `types` are the types of events to receive; if not given, all except
        `task_progress`. With `task_id` only the events of this task come. With `after` the events
        after the one with this `seq` come first. If the connection is lost, the client connects
        again and continues at the same place. A `Lagged` says how many events were missed.

        Entering the block raises InvalidTask and Unavailable. Iterating raises Unavailable if the
        server is away for longer than `patience`.
        """
        await self._opened()
        follower = EventFollower(self.server, self._patience, types, task_id, after)
        async with self._follow(follower) as events:
            await events.greeting(follower)
            yield events

    @lists_keywords(Wanted)
    async def list(self, **wanted: Unpack[Wanted]) -> builtins.list[Task]:
        """The tasks that match, the newest first: ``list(status="failed", limit=10)``.

        The filters are `status`, `type`, `priority`, `model`, `text`, `since` and `until`. `limit`
        is the largest number of tasks (1000 if not given), `offset` the number of tasks to skip.
        `after` is the id of the last task that you have. `sort` is newest, oldest or queue (the
        order in which pending tasks will run). For big tasks `list_summaries` is faster. Raises
        InvalidTask.
        """
        return await self._listed(requests.Listing(Task, wanted))

    @lists_keywords(Wanted)
    async def list_summaries(self, **wanted: Unpack[Wanted]) -> builtins.list[Summary]:
        """Like `list`, but each task has no payload, options or result. It has an `excerpt`: the
        beginning of its prompt.
        """
        return await self._listed(requests.Listing(Summary, wanted))

    @lists_keywords(Which)
    async def count(self, **which: Unpack[Which]) -> Count:
        """The number of tasks that match. The filters are those of `list`.

        If there are too many to look at all, `exact` of the answer is False, and there are at least
        so many. Raises InvalidTask.
        """
        return await self._run(requests.count(which))

    async def status(self) -> QueueStatus:
        """The numbers of tasks, the state of the queue and its backends."""
        return await self._run(requests.status())

    async def cancel(self, task_id: str) -> None:
        """Cancel the task, also while it runs. Raises NotFound, or Conflict if it has ended."""
        await self._run(requests.cancel(task_id))

    async def set_priority(self, task_id: str, priority: int | str) -> None:
        """Change the priority of a pending task. `priority` is 0 to 100, or a name.

        Raises NotFound, Conflict if the task is not pending, InvalidTask if that is no priority.
        """
        await self._run(requests.set_priority(task_id, priority))

    async def retry(self, task_id: str) -> None:
        """Queue a failed or cancelled task again. Raises NotFound, or Conflict if it is neither."""
        await self._run(requests.retry(task_id))

    async def delete(self, task_id: str) -> None:
        """Delete an ended task and its result. Raises NotFound, or Conflict if it has not ended."""
        await self._run(requests.delete(task_id))

    @lists_keywords(Which)
    async def bulk(
        self,
        action: str,
        ids: Sequence[str] | None = None,
        to: int | str | None = None,
        **which: Unpack[Which],
    ) -> BulkOutcome:
        """Do one action on many tasks: ``bulk("retry", status="failed")``.

        `action` is cancel, retry, delete or priority; `to` is the new priority. The tasks are those
        with these `ids`, or all that match the filters of `list`.

        If the action is not possible for a task, the outcome says why. Raises InvalidTask if the
        arguments are wrong.
        """
        return await self._run(requests.bulk(action, ids, to, which))

    async def backends(self) -> builtins.list[BackendView]:
        """The backends, and the models that each of them reports."""
        return await self._run(requests.backends())

    async def stats(self, window: str = "15m", model: str | None = None) -> Stats:
        """What happened in the last 15 minutes (``"15m"``) or 24 hours (``"24h"``), by interval."""
        return await self._run(requests.stats(window, model))

    async def models(self, window: str = "15m") -> StatsByModel:
        """What each model does now, and did in the last 15 minutes or 24 hours."""
        return await self._run(requests.models(window))

    async def pause(self, model: str | None = None) -> None:
        """Start no more tasks until `resume`, also after a restart; with a `model`, no more of its
        tasks. Running tasks go on. Raises InvalidTask, and Conflict if too many models are paused.
        """
        await self._run(requests.pause(model))

    async def resume(self, model: str | None = None) -> None:
        """Start tasks again after `pause`; with a `model`, its tasks. A paused queue stays so."""
        await self._run(requests.resume(model))

    async def _listed(self, listing: requests.Listing[T]) -> builtins.list[T]:
        while (call := listing.next()) is not None:
            listing.add(await self._run(call))
        return listing.tasks

    async def _opened(self) -> TaskGroup:
        """The group for background tasks. If there is no block, the client opens itself here."""
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
        return self._follow(EndFollower(self.server, self._patience))

    async def _hand_over(
        self, task_id: str, on_done: OnDone | None, results_to: Sends | None
    ) -> None:
        await hand_over(await self._watcher.ended(task_id), on_done, results_to)

    def _follow(self, follower: Follower[T]) -> AsyncFollowing[T]:
        follower.tell(self._on_away)
        return AsyncFollowing(follower, self._http, self.server, self._timeout, self._closing)

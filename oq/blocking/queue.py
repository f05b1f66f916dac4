"""The queue as programs without trio call it."""

from __future__ import annotations

import builtins
import queue as stdlib_queue
import sys
import threading
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from functools import partial
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar, Unpack

import trio

from oq.backends.base import Backend
from oq.blocking.exit_hooks import close_at_exit, closed
from oq.blocking.flow import Flow
from oq.blocking.loop import Loop
from oq.queue import Queue, Subscription, open_queue
from oq.queue.options import Options, check_config
from oq.words.arguments import lists_keywords
from oq.words.bulk import BulkOutcome
from oq.words.config import BackendConfig, Config
from oq.words.durations import Time
from oq.words.errors import Unavailable
from oq.words.events import Event, Lagged
from oq.words.new import NewTask
from oq.words.stream import Chunk
from oq.words.task import Submission, Summary, Task
from oq.words.views import BackendView, QueueStatus
from oq.words.which import Count, Wanted, Which

P = ParamSpec("P")
T = TypeVar("T")

CALLBACK_THREADS = 40
"""Callbacks that may be under way at once; the others wait."""


class BlockingQueue:
    """A queue on a thread of its own: ``with oq.BlockingQueue(max_workers=2) as queue: ...``

    Its methods block, and may be called by any number of threads at once. The arguments are those
    of `oq.open_queue`, and so are the errors: InvalidConfig, StoreLocked, StoreError. It is open
    once it is made; close it, or use it in a `with` block, which does not wait for running tasks
    if it is left by an exception. If it is forgotten, the interpreter closes it at its exit, and
    what runs then is put back in line.

    After `close` every method raises Unavailable, as it does in a process that was forked since it
    was made: one process has a data directory open, and others use `oq.Client`.
    """

    def __init__(
        self,
        config: Config | None = None,
        *,
        backends: Sequence[Backend | BackendConfig | Mapping[str, Any]] | None = None,
        **options: Unpack[Options],
    ) -> None:
        check_config(config)
        self._unread: dict[Subscription, builtins.list[Event | Lagged]] = {}
        self._limiter = trio.CapacityLimiter(CALLBACK_THREADS)
        opening = partial(open_queue, config, backends=backends, **options)
        self._loop = Loop(partial(self._open, opening))
        self._queue = self._loop.resource
        close_at_exit(self._close_at_exit)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close(timeout=None if kind is None else 0)

    def close(self, *, timeout: Time | None = None) -> None:
        """Let running tasks end for `timeout` (`drain_timeout` unless it is given), put
        those that have not back in line, and close the store.

        Ctrl-C cuts the wait short. Closing twice is no error. Raises what stopped the queue, if
        anything did.
        """
        closed(self._close_at_exit)
        try:
            self._drain(timeout)
        except KeyboardInterrupt:
            self._drain(0)
            raise
        finally:
            self._loop.stop()

    def submit(
        self,
        task: NewTask | Submission,
        *,
        idempotency_key: str | None = None,
        on_done: Callable[[Task], object] | None = None,
        results_to: stdlib_queue.Queue[Task] | stdlib_queue.SimpleQueue[Task] | None = None,
    ) -> str:
        """Put a task into the queue; its id, once it is on disk.

        The same `idempotency_key` with the same task gives the same id again, and no second task.
        When the task has ended, it is put into `results_to` and `on_done` is called with it, on a
        thread for such calls, where it may block and use this queue; what it raises goes to
        `threading.excepthook`. `close` does both for the tasks that ended before it, and gives
        them ten seconds.

        Raises InvalidTask, Conflict (the key was used for another task), QueueFull, Unavailable.
        """
        receivers: builtins.list[Callable[[Task], object]] = []
        if results_to is not None:
            receivers.append(results_to.put)
        if on_done is not None:
            receivers.append(on_done)
        return self._call(
            self._queue.submit,
            task,
            idempotency_key=idempotency_key,
            on_done=partial(self._hand_over, receivers) if receivers else None,
        )

    def submit_many(self, tasks: Sequence[NewTask | Submission]) -> builtins.list[str]:
        """Put all of them into the queue in one commit, or none; their ids in the same order.

        Raises InvalidBatch naming every task that is wrong, QueueFull, Unavailable.
        """
        return self._call(self._queue.submit_many, tasks)

    def get(self, task_id: str, *, wait: Time | None = None) -> Task:
        """The task as it stands or, with `wait`, once it has ended or that time is over.

        Raises NotFound.
        """
        return self._call(self._queue.get, task_id, wait=wait)

    def result(self, task_id: str, *, timeout: Time | None = None) -> dict[str, Any]:
        """Wait until the task has ended; the model's own final answer.

        Raises TaskFailed or TaskCancelled if it did not complete, NotFound, and TimeoutError after
        `timeout` (the task goes on), Unavailable when the queue closes first.
        """
        return self._call(self._queue.result, task_id, timeout=timeout)

    def run_batch(self, tasks: Sequence[NewTask | Submission]) -> builtins.list[Task]:
        """Submit the tasks in one commit and wait for all; the ended tasks, in the same order."""
        return self._call(self._queue.run_batch, tasks)

    @lists_keywords(Wanted)
    def list(self, **wanted: Unpack[Wanted]) -> builtins.list[Task]:
        """The tasks that match, the newest first: ``list(status="failed", limit=10)``. The
        keywords are those of `oq.words.which.Wanted`; without a `limit` there are at most 1000.

        Of big tasks `list_summaries` gives less. Raises InvalidTask.
        """
        return self._call(self._queue.list, **wanted)

    @lists_keywords(Wanted)
    def list_summaries(self, **wanted: Unpack[Wanted]) -> builtins.list[Summary]:
        """The same without payloads, options and results, with how each prompt begins."""
        return self._call(self._queue.list_summaries, **wanted)

    @lists_keywords(Which)
    def count(self, **which: Unpack[Which]) -> Count:
        """How many tasks match; at least so many, when they are too many to look at. InvalidTask
        names what is wrong.
        """
        return self._loop.call(partial(self._queue.count, **which))

    @lists_keywords(Which)
    def bulk(
        self,
        action: str,
        ids: Sequence[str] | None = None,
        to: int | str | None = None,
        **which: Unpack[Which],
    ) -> BulkOutcome:
        """Ask the same of many tasks: ``bulk("retry", status="failed")``.

        `action` is cancel, retry, delete or, with the priority `to`, priority. Which tasks: those
        `ids`, or all that match, up to `queue.max_bulk`. Return when all that is on disk.

        What is refused for a single task is told of it in the outcome. Raises InvalidTask.
        """
        return self._call(self._queue.bulk, action, ids, to, **which)

    def backends(self) -> builtins.list[BackendView]:
        """The servers that run models, and the models that they say they have."""
        return self._call(self._queue.backends)

    def status(self) -> QueueStatus:
        """The queue at a glance."""
        return self._loop.call_sync(self._queue.status)

    def cancel(self, task_id: str) -> None:
        """Take it out of the queue, or stop it; return once that is on disk.

        Raises NotFound, or Conflict when it has ended already.
        """
        self._call(self._queue.cancel, task_id)

    def set_priority(self, task_id: str, priority: int | str) -> None:
        """Give a pending task another priority. Raises NotFound, Conflict, InvalidTask."""
        self._call(self._queue.set_priority, task_id, priority)

    def retry(self, task_id: str) -> None:
        """Queue a failed or cancelled task again. Raises NotFound, Conflict."""
        self._call(self._queue.retry, task_id)

    def delete(self, task_id: str) -> None:
        """Forget a task that has ended. Raises NotFound, Conflict."""
        self._call(self._queue.delete, task_id)

    def pause(self) -> None:
        """Start no more tasks, also after a restart, until `resume`."""
        self._call(self._queue.pause)

    def resume(self) -> None:
        """Start tasks again."""
        self._call(self._queue.resume)

    @contextmanager
    def stream(
        self, task_id: str, *, offset: int = 0, attempt: int | None = None
    ) -> Iterator[Iterator[Chunk]]:
        """``with queue.stream(id) as chunks: for chunk in chunks: ...``

        What the task generates, as it is generated, to the chunk that has `done`; all of it, of a
        task that has ended. `offset` and `attempt`, from the last chunk that you have, go on from
        there. It ends without `done` when the queue closes. Raises NotFound.
        """
        opened = self._queue.raw.stream(task_id, offset=offset, attempt=attempt)
        chunks = self._loop.call_sync(opened.__enter__)

        def receive() -> builtins.list[Chunk]:
            with suppress(Unavailable):
                return self._loop.call(chunks.receive)
            return []

        try:
            yield Flow(receive)
        finally:
            self._leave(opened.__exit__)

    @contextmanager
    def subscribe(
        self,
        types: str | Collection[str] | None = None,
        *,
        task_id: str | None = None,
        after: int | None = None,
    ) -> Iterator[Iterator[Event | Lagged]]:
        """``with queue.subscribe({"task_failed"}) as events: for event in events: ...``

        Everything that happens from now on, or to one task; without `types` all events but
        progress. `after` is the seq to resume from. One that falls too far behind finds a Lagged.
        It ends when the queue closes. Raises InvalidTask for a type that there is not, and
        Unavailable when there are too many subscribers.
        """
        opened = self._queue.subscribe(types, task_id=task_id, after=after)
        events = self._loop.call_sync(opened.__enter__)
        self._unread[events] = []

        def receive() -> builtins.list[Event | Lagged]:
            with suppress(Unavailable):
                return self._loop.call(_next_batch, events)
            self._loop.wait_stopped()
            unread, self._unread[events] = self._unread[events], []
            return unread

        try:
            yield Flow(receive)
        finally:
            self._leave(opened.__exit__)
            del self._unread[events]

    # -- how

    def _call(self, verb: Callable[P, Awaitable[T]], *args: P.args, **options: P.kwargs) -> T:
        return self._loop.call(partial(verb, *args, **options))

    def _leave(self, leave: Callable[..., object]) -> None:
        with suppress(Unavailable):  # the queue has closed, and with it what would be left
            self._loop.call_sync(leave, None, None, None)

    def _drain(self, timeout: Time | None) -> None:
        with suppress(Unavailable):  # it has stopped already
            self._loop.call(self._queue.drain, timeout)

    def _close_at_exit(self) -> None:
        if self._loop.here:
            self.close(timeout=0)

    @asynccontextmanager
    async def _open(
        self, opening: Callable[[], AbstractAsyncContextManager[Queue]]
    ) -> AsyncIterator[Queue]:
        async with opening() as queue:
            yield queue
        # What subscribers have not fetched is all that is left; they may still do so.
        for events, unread in tuple(self._unread.items()):
            while batch := await _next_batch(events):
                unread += batch

    async def _hand_over(self, receivers: Sequence[Callable[[Task], object]], task: Task) -> None:
        for receive in receivers:
            await trio.to_thread.run_sync(
                _receive, receive, task, limiter=self._limiter, abandon_on_cancel=True
            )


def _receive(receive: Callable[[Task], object], task: Task) -> None:
    try:
        receive(task)
    except Exception:
        kind, error, trace = sys.exc_info()
        this = threading.current_thread()
        with suppress(OSError, ValueError):  # there may be nowhere to write it
            threading.excepthook(threading.ExceptHookArgs((kind, error, trace, this)))


async def _next_batch(events: Subscription) -> builtins.list[Event | Lagged]:
    """The events that are due, at least one; none at the end."""
    async for batch in events:
        return batch
    return []

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
"""Callbacks that may run at once; others wait."""


class BlockingQueue:
    """A queue on a thread of its own: ``with oq.BlockingQueue(max_workers=2) as queue: ...``

    Its methods block. Any number of threads may call them at once. The arguments and the errors
    (InvalidConfig, StoreLocked, StoreError) are those of `oq.open_queue`.

    The queue is open from the start. Call `close`, or use a `with` block. If an exception leaves
    the block, the queue does not wait for running tasks. If the queue is still open when the
    program exits, it is closed then, and running tasks are put back in line.

    After `close` every method raises Unavailable. In a forked process it raises Unavailable too,
    because only one process can have a data directory open. Other processes use `oq.Client`.
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
        """Wait up to `timeout` for running tasks, put those that still run back in line, and close
        the store. If `timeout` is not given, it is the setting `drain_timeout`.

        Ctrl-C ends the wait. Closing twice is no error. If an error stopped the queue before,
        `close` raises it.
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
        max_wait: Time | None = None,
        on_done: Callable[[Task], object] | None = None,
        results_to: stdlib_queue.Queue[Task] | stdlib_queue.SimpleQueue[Task] | None = None,
    ) -> str:
        """Put a task into the queue. Return its id once the task is on disk.

        If the same task was submitted with the same `idempotency_key` before, no second task is
        made, and the id is that of the first.

        With `max_wait` a task that is expected to start later than that is refused at once.

        When the task has ended, the queue puts it into `results_to` and calls `on_done` with it, on
        another thread. There `on_done` may block and use this queue. Its exceptions go to
        `threading.excepthook`. `close` does so for tasks that have ended already, and waits at most
        ten seconds for that.

        Raises InvalidTask, Conflict (the key belongs to a different task), QueueFull, WaitTooLong,
        Unavailable.
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
            max_wait=max_wait,
            on_done=partial(self._hand_over, receivers) if receivers else None,
        )

    def submit_many(
        self, tasks: Sequence[NewTask | Submission], *, max_wait: Time | None = None
    ) -> builtins.list[str]:
        """Put all tasks into the queue, or none. Return their ids in the same order.

        With `max_wait` they are refused at once if the first of them is expected to start later.

        Raises InvalidBatch, which names every task that is wrong, QueueFull, WaitTooLong,
        Unavailable.
        """
        return self._call(self._queue.submit_many, tasks, max_wait=max_wait)

    def get(self, task_id: str, *, wait: Time | None = None) -> Task:
        """The task as it is now. With `wait` it first waits, at most so long, until the task ends.

        Raises NotFound.
        """
        return self._call(self._queue.get, task_id, wait=wait)

    def result(self, task_id: str, *, timeout: Time | None = None) -> dict[str, Any]:
        """Wait until the task has ended. Return the final answer of the backend, a dict.

        Raises TaskFailed or TaskCancelled if the task did not complete, StoreCorrupt if its result
        cannot be read from the disk any more, NotFound, TimeoutError after `timeout` (the task goes
        on), and Unavailable if the queue closes before.
        """
        return self._call(self._queue.result, task_id, timeout=timeout)

    def run_batch(self, tasks: Sequence[NewTask | Submission]) -> builtins.list[Task]:
        """Submit all tasks, or none, and wait until all have ended. Return them in the same order.

        Raises what `submit_many` and `get` raise.
        """
        return self._call(self._queue.run_batch, tasks)

    @lists_keywords(Wanted)
    def list(self, **wanted: Unpack[Wanted]) -> builtins.list[Task]:
        """The tasks that match, the newest first: ``list(status="failed", limit=10)``.

        The filters are `status`, `type`, `priority`, `model`, `text`, `since` and `until`. `limit`
        is the largest number of tasks (1000 if not given), `offset` the number of tasks to skip.
        `after` is the id of the last task that you have. `sort` is newest, oldest or queue (the
        order in which pending tasks will run). For big tasks `list_summaries` is faster. Raises
        InvalidTask.
        """
        return self._call(self._queue.list, **wanted)

    @lists_keywords(Wanted)
    def list_summaries(self, **wanted: Unpack[Wanted]) -> builtins.list[Summary]:
        """Like `list`, but each task has no payload, options or result. It has an `excerpt`: the
        beginning of its prompt.
        """
        return self._call(self._queue.list_summaries, **wanted)

    @lists_keywords(Which)
    def count(self, **which: Unpack[Which]) -> Count:
        """The number of tasks that match. The filters are those of `list`.

        If there are too many to look at all, `exact` of the answer is False, and there are at least
        so many. Raises InvalidTask.
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
        """Do one action on many tasks: ``bulk("retry", status="failed")``.

        `action` is cancel, retry, delete or priority; `to` is the new priority. The tasks are those
        with these `ids`, or all that match the filters of `list`, at most `queue.max_bulk`. It
        returns when the changes are on disk.

        If the action is not possible for a task, the outcome says why. Raises InvalidTask if the
        arguments are wrong.
        """
        return self._call(self._queue.bulk, action, ids, to, **which)

    def backends(self) -> builtins.list[BackendView]:
        """The backends, and the models that each of them reports."""
        return self._call(self._queue.backends)

    def status(self) -> QueueStatus:
        """The numbers of tasks, the state of the queue and its backends."""
        return self._loop.call_sync(self._queue.status)

    def cancel(self, task_id: str) -> None:
        """Cancel the task, also while it runs. It returns once that is on disk.

        Raises NotFound, or Conflict if the task has ended.
        """
        self._call(self._queue.cancel, task_id)

    def set_priority(self, task_id: str, priority: int | str) -> None:
        """Change the priority of a pending task. `priority` is 0 to 100, or a name.

        Raises NotFound, Conflict if the task is not pending, InvalidTask if that is no priority.
        """
        self._call(self._queue.set_priority, task_id, priority)

    def retry(self, task_id: str) -> None:
        """Queue a failed or cancelled task again.

        Raises NotFound, or Conflict if the task is neither failed nor cancelled.
        """
        self._call(self._queue.retry, task_id)

    def delete(self, task_id: str) -> None:
        """Delete a task that has ended, with its result.

        Raises NotFound, or Conflict if the task has not ended.
        """
        self._call(self._queue.delete, task_id)

    def pause(self, model: str | None = None) -> None:
        """Start no more tasks until `resume`, also after a restart; with a `model`, no more of its
        tasks. Running tasks go on, and tasks can still be submitted.

        Raises InvalidTask if that is no name, and Conflict if too many models are paused.
        """
        self._call(self._queue.pause, model)

    def resume(self, model: str | None = None) -> None:
        """Start tasks again after `pause`; with a `model`, its tasks. A paused queue stays so."""
        self._call(self._queue.resume, model)

    @contextmanager
    def stream(
        self, task_id: str, *, offset: int = 0, attempt: int | None = None
    ) -> Iterator[Iterator[Chunk]]:
        """``with queue.stream(id) as chunks: for chunk in chunks: ...``

        The chunks that the task generates, from the first chunk on. New chunks come as they are
        generated. The last chunk has `done`. If the queue closes before, the stream ends without
        it. To continue an earlier stream, give the `offset` and the `attempt` of the last chunk
        that you have. Raises NotFound.
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

        The events from now on. `types` are the types of events to receive; if not given, all except
        `task_progress`. With `task_id` only the events of this task come. With `after` the events
        after the one with this `seq` come first. A `Lagged` says how many events you missed because
        you were too slow. The events end when the queue closes. Raises InvalidTask if there is no
        such type, and Unavailable if there are too many subscribers.
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

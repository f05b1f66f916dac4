"""The queue as a Python program under trio calls it."""

from __future__ import annotations

import builtins
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Iterator,
    Sequence,
)
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, suppress
from typing import Any, Unpack

import msgspec
import structlog
import trio
from msgspec.structs import replace

from oq.actors.hub import Observer, ProgressObserver
from oq.actors.subscription import Subscription
from oq.queue.callers import Callers
from oq.queue.core import Core
from oq.queue.documents import (
    event_types_of,
    result_of,
    submission_of,
    submissions_of,
    task_of,
)
from oq.queue.gateway_calls import GatewayCalls
from oq.queue.passages import Passages
from oq.queue.raw import RawQueue
from oq.rules.filters import Page, Shown, TaskFilter, choice, task_filter
from oq.rules.history import History
from oq.rules.model_counts import ModelTasks
from oq.store.shutdown_note import ShutdownNote
from oq.words.arguments import lists_keywords
from oq.words.bulk import BulkOutcome
from oq.words.caller import LOCAL, Caller
from oq.words.durations import Time, seconds_of
from oq.words.errors import InvalidTask, NotFound
from oq.words.messages import Verb
from oq.words.new import NewTask
from oq.words.stream import Chunk
from oq.words.task import Submission, Summary, Task
from oq.words.views import BackendView, QueueStatus
from oq.words.which import Count, Wanted, Which

log = structlog.get_logger("oq.queue")

OnDone = Callable[[Task], object]


class Queue:
    """A running queue. `oq.open_queue` makes one.

    It has the same methods as `oq.Client` and `oq.AsyncClient`. Any number of trio tasks may call
    them at once.
    """

    def __init__(self, core: Core, hands: trio.Nursery) -> None:
        self.config = core.config
        self._core = core
        self.raw = self.on_behalf_of(LOCAL)
        self._hands = hands  # runs what waits for a task to call `on_done`
        self._waiting: set[trio.CancelScope] = set()
        self._closing = False
        self.shutdown_note: ShutdownNote | None = None
        self._callers = Callers(hands, self.raw.cancel)
        self.calls = GatewayCalls(
            core.admission, core.wiring, core.ledger, core.answers.check, self._callers,
            core.outlook,
        )  # fmt: skip
        self.passages = Passages(core.wiring, core.by_name, core.tell_down)

    def on_behalf_of(self, caller: Caller) -> RawQueue:
        """The queue as this caller may use it. Documents stay undecoded JSON there."""
        return RawQueue(self._core, caller)

    async def submit(
        self,
        task: NewTask | Submission,
        *,
        idempotency_key: str | None = None,
        max_wait: Time | None = None,
        on_done: OnDone | None = None,
        results_to: trio.MemorySendChannel[Task] | None = None,
    ) -> str:
        """Put a task into the queue. Return its id once the task is on disk.

        If the same task was submitted with the same `idempotency_key` before, no second task is
        made, and the id is that of the first.

        With `max_wait` a task that is expected to start later than that is refused at once.

        When the task has ended, the queue sends it to `results_to` and calls `on_done` with it.
        `on_done` may be async. When the queue closes, it does so for tasks that have ended already,
        and waits at most ten seconds for that. A task that is deleted before is not handed over. An
        exception in `on_done` ends the queue and leaves its `async with` block.

        Raises InvalidTask, Conflict (the key belongs to a different task), QueueFull, WaitTooLong,
        Unavailable.
        """
        accepted = await self.raw.submit(
            submission_of(task), idempotency_key=idempotency_key, max_wait=_seconds(max_wait)
        )
        if on_done is not None or results_to is not None:
            self._hands.start_soon(self._hand_over, accepted.task_id, on_done, results_to)
        return accepted.task_id

    async def submit_many(
        self, tasks: Sequence[NewTask | Submission], *, max_wait: Time | None = None
    ) -> builtins.list[str]:
        """Put all tasks into the queue, or none. Return their ids in the same order.

        With `max_wait` they are refused at once if the first of them is expected to start later.

        Raises InvalidBatch, which names every task that is wrong, QueueFull, WaitTooLong,
        Unavailable.
        """
        return await self.raw.submit_many(
            submissions_of(tasks, self.raw.limits), max_wait=_seconds(max_wait)
        )

    async def get(self, task_id: str, *, wait: Time | None = None) -> Task:
        """The task as it is now. With `wait` it first waits, at most so long, until the task ends.

        Raises NotFound.
        """
        seconds = 0.0 if wait is None else seconds_of("wait", wait)
        if seconds > 0:
            with self._while_open():
                return task_of(await self.raw.get(task_id, wait=seconds))
        return task_of(await self.raw.get(task_id))

    async def result(self, task_id: str, *, timeout: Time | None = None) -> dict[str, Any]:
        """Wait until the task has ended. Return the final answer of the backend, a dict.

        Raises TaskFailed or TaskCancelled if the task did not complete, StoreCorrupt if its result
        cannot be read from the disk any more, NotFound, TimeoutError after `timeout` (the task goes
        on), and Unavailable if the queue closes before.
        """
        wait = float("inf") if timeout is None else seconds_of("timeout", timeout)
        task = await self.get(task_id, wait=wait)
        return result_of(task, None if self._closing else wait)

    async def run_batch(self, tasks: Sequence[NewTask | Submission]) -> builtins.list[Task]:
        """Submit all tasks, or none, and wait until all have ended. Return them in the same order.

        Raises what `submit_many` and `get` raise.
        """
        ids = await self.submit_many(tasks)
        return [await self.get(task_id, wait=float("inf")) for task_id in ids]

    @lists_keywords(Wanted)
    async def list(self, **wanted: Unpack[Wanted]) -> builtins.list[Task]:
        """The tasks that match, the newest first: ``list(status="failed", limit=10)``.

        The filters are `status`, `type`, `priority`, `model`, `text`, `since` and `until`. `limit`
        is the largest number of tasks (1000 if not given), `offset` the number of tasks to skip.
        `after` is the id of the last task that you have. `sort` is newest, oldest or queue (the
        order in which pending tasks will run). For big tasks `list_summaries` is faster. Raises
        InvalidTask.
        """
        found = await _pages(self.raw.list, task_filter(**wanted))
        return [task_of(task) for task in found]

    @lists_keywords(Wanted)
    async def list_summaries(self, **wanted: Unpack[Wanted]) -> builtins.list[Summary]:
        """Like `list`, but each task has no payload, options or result. It has an `excerpt`: the
        beginning of its prompt.
        """
        found = await _pages(self.raw.list_summaries, task_filter(**wanted))
        return msgspec.json.decode(msgspec.json.encode(found), type=builtins.list[Summary])

    @lists_keywords(Which)
    async def count(self, **which: Unpack[Which]) -> Count:
        """The number of tasks that match. The filters are those of `list`.

        If there are too many to look at all, `exact` of the answer is False, and there are at least
        so many. Raises InvalidTask.
        """
        return await self.raw.count(task_filter(**which))

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
        with these `ids`, or all that match the filters of `list`, at most `queue.max_bulk`. It
        returns when the changes are on disk.

        If the action is not possible for a task, the outcome says why. Raises InvalidTask if the
        arguments are wrong.
        """
        if ids is not None and which:
            raise InvalidTask("ids", "give either ids or a filter, and not both")
        verb = choice("action", Verb, action)
        if verb is Verb.PRIORITY and to is None:
            raise InvalidTask("priority", 'the action "priority" needs the new priority in `to`')
        tasks = task_filter(**which) if ids is None else ids
        return await self.raw.bulk(verb, tasks, 0 if to is None else to)

    async def backends(self) -> builtins.list[BackendView]:
        """The backends, and the models that each of them reports."""
        return await self.raw.backends()

    def status(self) -> QueueStatus:
        """The numbers of tasks, the state of the queue and its backends."""
        return self.raw.status()

    async def cancel(self, task_id: str) -> None:
        """Cancel the task, also while it runs. It returns once that is on disk.

        Raises NotFound, or Conflict if the task has ended.
        """
        await self.raw.cancel(task_id)

    async def set_priority(self, task_id: str, priority: int | str) -> None:
        """Change the priority of a pending task. `priority` is 0 to 100, or a name.

        Raises NotFound, Conflict if the task is not pending, InvalidTask if that is no priority.
        """
        await self.raw.set_priority(task_id, priority)

    async def retry(self, task_id: str) -> None:
        """Queue a failed or cancelled task again.

        Raises NotFound, or Conflict if the task is neither failed nor cancelled.
        """
        await self.raw.retry(task_id)

    async def delete(self, task_id: str) -> None:
        """Delete a task that has ended, with its result.

        Raises NotFound, or Conflict if the task has not ended.
        """
        await self.raw.delete(task_id)

    async def pause(self, model: str | None = None) -> None:
        """Start no more tasks until `resume`, also after a restart; with a `model`, no more of its
        tasks. Running tasks go on, and tasks can still be submitted.

        Raises InvalidTask if that is no name, and Conflict if too many models are paused.
        """
        await self.raw.pause(model)

    async def resume(self, model: str | None = None) -> None:
        """Start tasks again after `pause`; with a `model`, its tasks. A paused queue stays so."""
        await self.raw.resume(model)

    async def drain(self, timeout: Time | None = None) -> None:
        """Accept and start no more tasks, and wait until the running tasks have ended.

        After `timeout` (`queue.drain_timeout` if it is None) tasks that still run are stopped and
        put back in line. It returns when nothing runs and all is on disk. A second call with a
        shorter `timeout` is allowed.
        """
        await self._core.drain(timeout)

    def tasks_by_model(self) -> dict[str, ModelTasks]:
        """How many tasks of each model wait and run now."""
        return self.raw.tasks_by_model()

    def observe(self, observer: Observer) -> None:
        """Call `observer` with every commit, for measuring. It must not block."""
        self._core.hub.observe(observer)

    def observe_progress(self, observer: ProgressObserver) -> None:
        """Call `observer` with the id of each running task, the number of chunks that it has
        generated, and the time: at most ten times a second for each task. It must not block.
        """
        self._core.hub.observe_progress(observer)

    def begin_history(self) -> History:
        """What happened lately, for who counts it from now on. It is kept over a restart."""
        history = self._core.wiring.history
        history.begin(self._core.clock.now())
        return history

    @asynccontextmanager
    async def stream(
        self, task_id: str, *, offset: int = 0, attempt: int | None = None
    ) -> AsyncIterator[AsyncIterator[Chunk]]:
        """``async with queue.stream(id) as chunks: async for chunk in chunks: ...``

        The chunks that the task generates, from the first chunk on. New chunks come as they are
        generated. The last chunk has `done`. To continue an earlier stream, give the `offset` and
        the `attempt` of the last chunk that you have. Raises NotFound.
        """
        with self.raw.stream(task_id, offset=offset, attempt=attempt) as chunks:
            yield chunks

    def let_go(self) -> None:
        """The queue closes: calls that wait for a task return it as it is now."""
        self._closing = True
        self._callers.close()
        for scope in self._waiting:
            scope.cancel()

    def foretell_end(self) -> None:
        """Write a note to the disk that oq is about to end the process, perhaps without closing the
        store. So the running tasks are not blamed for its end. It blocks while the disk does.
        """
        if self.shutdown_note is not None:
            self.shutdown_note.write()

    @contextmanager
    def _while_open(self) -> Iterator[None]:
        """Leave the block when the queue closes."""
        scope = trio.CancelScope()
        if self._closing:
            scope.cancel()
        self._waiting.add(scope)
        try:
            with scope:
                yield
        finally:
            self._waiting.discard(scope)

    def subscribe(
        self,
        types: str | Collection[str] | None = None,
        *,
        task_id: str | None = None,
        after: int | None = None,
    ) -> AbstractContextManager[Subscription]:
        """``with queue.subscribe({"task_failed"}) as events: async for batch in events: ...``

        Each batch is a list of Event and Lagged. `types` are the types of events to receive; if not
        given, all except `task_progress`. With `task_id` only the events of this task come. With
        `after` the events after the one with this `seq` come first. Raises InvalidTask if there is
        no such type, and Unavailable if there are too many subscribers.
        """
        return self.raw.subscribe(types=event_types_of(types), task_id=task_id, after=after)

    async def _hand_over(
        self,
        task_id: str,
        on_done: OnDone | None,
        results_to: trio.MemorySendChannel[Task] | None,
    ) -> None:
        try:
            task = await self.get(task_id, wait=float("inf"))
        except NotFound:  # somebody has deleted it: there is nothing to hand over
            log.warning("a task was deleted before its end was handed over", task_id=task_id)
            return
        if not task.status.ended:
            return  # the queue closes, and the task runs again when it is opened
        if results_to is not None:
            with suppress(trio.BrokenResourceError):  # nobody listens any more
                await results_to.send(task)
        if on_done is not None:
            answer = on_done(task)
            if isinstance(answer, Awaitable):
                await answer


async def _pages(
    look: Callable[[TaskFilter], Awaitable[Page[Shown]]], wanted: TaskFilter
) -> list[Shown]:
    """The tasks of one listing, up to its limit. Pages are bounded in bytes too, so there may be
    several.
    """
    page = await look(wanted)
    found = page.tasks
    while page.next is not None and len(found) < wanted.limit:
        left = wanted.limit - len(found)
        page = await look(replace(wanted, limit=left, offset=0, after=page.next))
        found = found + page.tasks
    return found


def _seconds(max_wait: Time | None) -> float | None:
    return None if max_wait is None else seconds_of("max_wait", max_wait)

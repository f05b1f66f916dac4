"""The queue as people call it, in a program of their own."""

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
import trio
from msgspec.structs import replace

from oq.actors.hub import Observer
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
from oq.queue.raw import RawQueue
from oq.rules.filters import Page, Shown, TaskFilter, choice, task_filter
from oq.store.shutdown_note import ShutdownNote
from oq.words.arguments import lists_keywords
from oq.words.bulk import BulkOutcome
from oq.words.caller import LOCAL, Caller
from oq.words.durations import Time, seconds_of
from oq.words.errors import InvalidTask
from oq.words.messages import Verb
from oq.words.new import NewTask
from oq.words.stream import Chunk
from oq.words.task import Submission, Summary, Task
from oq.words.views import BackendView, QueueStatus
from oq.words.which import Count, Wanted, Which

OnDone = Callable[[Task], object]


class Queue:
    """A running queue: `oq.open_queue` makes one.

    The verbs are those of `oq.Client` and `oq.AsyncClient`. All of them may be called from any
    number of trio tasks at once.
    """

    def __init__(self, core: Core, hands: trio.Nursery) -> None:
        self.config = core.config
        self._core = core
        self.raw = self.on_behalf_of(LOCAL)
        self._hands = hands  # where what was asked for at submission waits for its task
        self._waiting: set[trio.CancelScope] = set()
        self._closing = False
        self.shutdown_note: ShutdownNote | None = None
        self._callers = Callers(hands, self.raw.cancel)
        self.calls = GatewayCalls(
            core.admission, core.wiring, core.ledger, core.answers.check, self._callers,
            core.by_name, core.tell_down,
        )  # fmt: skip

    def on_behalf_of(self, caller: Caller) -> RawQueue:
        """The verbs as this caller may use them, with documents as the JSON that they are."""
        return RawQueue(self._core, caller)

    async def submit(
        self,
        task: NewTask | Submission,
        *,
        idempotency_key: str | None = None,
        on_done: OnDone | None = None,
        results_to: trio.MemorySendChannel[Task] | None = None,
    ) -> str:
        """Put a task into the queue; its id, once it is on disk.

        The same `idempotency_key` with the same task gives the same id again, and no second task.
        When the task has ended, it is sent to `results_to` and `on_done` is called with it, and
        awaited if it is async. A queue that closes does both for the tasks that ended before, and
        gives them ten seconds for it. What `on_done` raises ends the queue, as an error in any
        other of its tasks does.

        Raises InvalidTask, Conflict (the key was used for another task), QueueFull, Unavailable.
        """
        accepted = await self.raw.submit(submission_of(task), idempotency_key=idempotency_key)
        if on_done is not None or results_to is not None:
            self._hands.start_soon(self._hand_over, accepted.task_id, on_done, results_to)
        return accepted.task_id

    async def submit_many(self, tasks: Sequence[NewTask | Submission]) -> builtins.list[str]:
        """Put all of them into the queue in one commit, or none; their ids in the same order.

        Raises InvalidBatch naming every task that is wrong, QueueFull, Unavailable.
        """
        return await self.raw.submit_many(submissions_of(tasks, self.raw.limits))

    async def get(self, task_id: str, *, wait: Time | None = None) -> Task:
        """The task as it stands or, with `wait`, once it has ended or that time is over.

        Raises NotFound.
        """
        seconds = 0.0 if wait is None else seconds_of("wait", wait)
        if seconds > 0:
            with self._while_open():
                return task_of(await self.raw.get(task_id, wait=seconds))
        return task_of(await self.raw.get(task_id))

    async def result(self, task_id: str, *, timeout: Time | None = None) -> dict[str, Any]:
        """Wait until the task has ended; the model's own final answer.

        Raises TaskFailed or TaskCancelled if it did not complete, NotFound, and TimeoutError after
        `timeout` (the task goes on), Unavailable when the queue closes first.
        """
        wait = float("inf") if timeout is None else seconds_of("timeout", timeout)
        task = await self.get(task_id, wait=wait)
        return result_of(task, None if self._closing else wait)

    async def run_batch(self, tasks: Sequence[NewTask | Submission]) -> builtins.list[Task]:
        """Submit the tasks in one commit and wait for all; the ended tasks, in the same order."""
        ids = await self.submit_many(tasks)
        return [await self.get(task_id, wait=float("inf")) for task_id in ids]

    @lists_keywords(Wanted)
    async def list(self, **wanted: Unpack[Wanted]) -> builtins.list[Task]:
        """The tasks that match, the newest first: ``list(status="failed", limit=10)``. The
        keywords are those of `oq.words.which.Wanted`; without a `limit` there are at most 1000.

        Of big tasks `list_summaries` gives less. Raises InvalidTask.
        """
        found = await _pages(self.raw.list, task_filter(**wanted))
        return [task_of(task) for task in found]

    @lists_keywords(Wanted)
    async def list_summaries(self, **wanted: Unpack[Wanted]) -> builtins.list[Summary]:
        """The same without payloads, options and results, with how each prompt begins."""
        found = await _pages(self.raw.list_summaries, task_filter(**wanted))
        return msgspec.json.decode(msgspec.json.encode(found), type=builtins.list[Summary])

    @lists_keywords(Which)
    async def count(self, **which: Unpack[Which]) -> Count:
        """How many tasks match; at least so many, when they are too many to look at. InvalidTask
        names what is wrong.
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
        """Ask the same of many tasks: ``bulk("retry", status="failed")``.

        `action` is cancel, retry, delete or, with the priority `to`, priority. Which tasks: those
        `ids`, or all that match, up to `queue.max_bulk`. Return when all that is on disk.

        What is refused for a single task is told of it in the outcome. Raises InvalidTask.
        """
        if ids is not None and which:
            raise InvalidTask("ids", "name either ids or a filter")
        verb = choice("action", Verb, action)
        if verb is Verb.PRIORITY and to is None:
            raise InvalidTask("priority", 'the action "priority" needs one')
        tasks = task_filter(**which) if ids is None else ids
        return await self.raw.bulk(verb, tasks, 0 if to is None else to)

    async def backends(self) -> builtins.list[BackendView]:
        """The servers that run models, and the models that they say they have."""
        return await self.raw.backends()

    def status(self) -> QueueStatus:
        """The queue at a glance."""
        return self.raw.status()

    async def cancel(self, task_id: str) -> None:
        """Take it out of the queue, or stop it; return once that is on disk.

        Raises NotFound, or Conflict when it has ended already.
        """
        await self.raw.cancel(task_id)

    async def set_priority(self, task_id: str, priority: int | str) -> None:
        """Give a pending task another priority. NotFound, Conflict, InvalidTask."""
        await self.raw.set_priority(task_id, priority)

    async def retry(self, task_id: str) -> None:
        """Queue a failed or cancelled task again. NotFound, Conflict."""
        await self.raw.retry(task_id)

    async def delete(self, task_id: str) -> None:
        """Forget a task that has ended. NotFound, Conflict."""
        await self.raw.delete(task_id)

    async def pause(self) -> None:
        """Start no more tasks, also after a restart, until `resume`."""
        await self.raw.pause()

    async def resume(self) -> None:
        """Start tasks again."""
        await self.raw.resume()

    async def drain(self, timeout: Time | None = None) -> None:
        """Take no more tasks and start none; let those that run end for `timeout`
        (`queue.drain_timeout` if it is None), then put them back in line. Return when nothing runs
        and all is on disk. A second drain may be in more of a hurry than the first.
        """
        await self._core.drain(timeout)

    def observe(self, observer: Observer) -> None:
        """Have `observer` called with every commit, for measuring. It must not block."""
        self._core.hub.observe(observer)

    @asynccontextmanager
    async def stream(
        self, task_id: str, *, offset: int = 0, attempt: int | None = None
    ) -> AsyncIterator[AsyncIterator[Chunk]]:
        """``async with queue.stream(id) as chunks: async for chunk in chunks: ...``

        What the task generates, as it is generated, to the chunk that has `done`; all of it, of a
        task that has ended. `offset` and `attempt`, from the last chunk that you have, go on from
        there. Raises NotFound.
        """
        with self.raw.stream(task_id, offset=offset, attempt=attempt) as chunks:
            yield chunks

    def let_go(self) -> None:
        """The queue closes: whoever waits for a task gets it as it stands."""
        self._closing = True
        self._callers.close()
        for scope in self._waiting:
            scope.cancel()

    def foretell_end(self) -> None:
        """Note on the disk that oq is about to end the process, perhaps without closing the store:
        what runs then is not the cause. It blocks for as long as the disk does.
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

        Each batch is a list of Event and Lagged. `after` is the seq to resume from; without `types`
        all events but progress. Raises InvalidTask for a type that there is not, and Unavailable
        when there are too many subscribers.
        """
        return self.raw.subscribe(types=event_types_of(types), task_id=task_id, after=after)

    async def _hand_over(
        self,
        task_id: str,
        on_done: OnDone | None,
        results_to: trio.MemorySendChannel[Task] | None,
    ) -> None:
        task = await self.get(task_id, wait=float("inf"))
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
    """Up to its limit; a page is bounded in bytes too, so it may take several."""
    page = await look(wanted)
    found = page.tasks
    while page.next is not None and len(found) < wanted.limit:
        left = wanted.limit - len(found)
        page = await look(replace(wanted, limit=left, offset=0, after=page.next))
        found = found + page.tasks
    return found

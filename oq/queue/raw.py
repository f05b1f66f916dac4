"""The methods of a queue on behalf of one caller. Documents stay undecoded JSON.

The HTTP server calls these. `oq.Queue` has methods of the same names: they call these and decode
the documents.
"""

from __future__ import annotations

import builtins
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from functools import partial

import trio
from msgspec.structs import replace

from oq.actors.subscription import Subscription
from oq.queue import bulk
from oq.queue.admission import Accepted
from oq.queue.call_reader import CallReader
from oq.queue.core import Core
from oq.queue.output_reader import Output
from oq.queue.reader import StreamReader
from oq.rules import scope
from oq.rules.filters import Count, Page, TaskFilter
from oq.rules.ids import is_id
from oq.rules.limits import Limits
from oq.rules.model_counts import ModelTasks
from oq.rules.model_names import one_name
from oq.rules.terms import parse_model, parse_priority
from oq.words.arguments import task_id_of
from oq.words.bulk import BulkOutcome
from oq.words.caller import Caller
from oq.words.config import Config
from oq.words.durations import Time
from oq.words.errors import InvalidTask, NotFound
from oq.words.events import Event, EventType, Lagged
from oq.words.messages import BulkCommand, Command, Pause, Verb
from oq.words.task import RawTask, Submission, TaskState, TaskSummary
from oq.words.timeline import TimelineSpan
from oq.words.views import BackendView, QueueStatus


class RawQueue:
    """The queue as one caller sees it. Any number of trio tasks may call its methods at once.

    A task that the caller may not see is NotFound for it (see `oq.rules.scope`).
    """

    __slots__ = ("_core", "caller")

    def __init__(self, core: Core, caller: Caller) -> None:
        self._core = core
        self.caller = caller

    @property
    def config(self) -> Config:
        """The settings of the queue."""
        return self._core.config

    @property
    def limits(self) -> Limits:
        """The limits for each task."""
        return self._core.limits

    # -- submitting

    async def submit(
        self,
        task: Submission,
        *,
        idempotency_key: str | None = None,
        max_wait: Time | None = None,
    ) -> Accepted:
        """Store a task and return once it is on disk.

        If the caller had the same task accepted with the same `idempotency_key` before, the answer
        is that task. Raises InvalidTask, Conflict (the key belongs to a different task), QueueFull,
        Unavailable; of these WaitTooLong if it is expected to wait for longer than `max_wait`.
        """
        return await self._core.admission.accept(task, idempotency_key, self.caller, max_wait)

    async def submit_many(
        self, tasks: Sequence[Submission], *, max_wait: Time | None = None
    ) -> builtins.list[str]:
        """Store the tasks in one commit, all or none. Return their ids in the same order.

        Raises InvalidBatch, which names every task that is wrong, InvalidTask if there are too many
        tasks, QueueFull, Unavailable; of these WaitTooLong if the first of them is expected to wait
        for longer than `max_wait`.
        """
        return await self._core.admission.accept_many(tasks, self.caller, max_wait)

    def eta_header(self, task_id: str) -> str | None:
        """The value of the header X-OQ-ETA: in how many seconds the task starts. None if it does
        not wait, or if that cannot be told.
        """
        return self._core.outlook.header(task_id)

    # -- reading

    async def get(self, task_id: str, *, wait: float = 0.0) -> RawTask:
        """The task as it is now. With `wait` (seconds) it first waits, at most so long, until the
        task ends.

        Raises NotFound.
        """
        _check_id(task_id)
        if wait <= 0:
            return await self._show(task_id)
        with self._core.hub.watch(task_id) as watch:
            task = await self._show(task_id)
            with trio.move_on_after(wait):
                while not task.status.ended and await watch.changed():
                    task = await self._show(task_id)
        return task

    async def list(self, filter: TaskFilter) -> Page[RawTask]:
        """Tasks that the filter admits, in its order."""
        return await self._core.listing.page(self._narrow(filter))

    async def list_summaries(self, filter: TaskFilter) -> Page[TaskSummary]:
        """The same without their documents, with the beginning of each prompt."""
        return await self._core.listing.summaries(self._narrow(filter))

    async def count(self, filter: TaskFilter) -> Count:
        """The number of tasks that the filter admits; see `oq.words.which.Count`."""
        return await self._core.listing.count(self._narrow(filter))

    @contextmanager
    def stream(
        self, task_id: str, *, offset: int = 0, attempt: int | None = None
    ) -> Iterator[StreamReader]:
        """The chunks that the task generates, from `offset` on, to the end of the task.

        `attempt` is the attempt of the `offset` (see `oq.words.stream.Chunk`). If another attempt
        runs now, the first chunk has `restart`. Raises NotFound, as the reader does.
        """
        _check_id(task_id)
        with self._output(task_id) as output:
            check = partial(self._check_seen, task_id)
            yield StreamReader(output, check, self._core.wiring.reads, offset, attempt)

    @contextmanager
    def content(self, task_id: str) -> Iterator[CallReader]:
        """The answer of a task that has ended, byte for byte: of a call as its backend sent it, of
        another task its result. Raises NotFound for a task that is not there; whether the caller
        may see it, `get` says.
        """
        _check_id(task_id)
        with self._output(task_id) as output:
            yield CallReader(output)

    @contextmanager
    def _output(self, task_id: str) -> Iterator[Output]:
        core = self._core
        with core.hub.watch(task_id) as watch:
            yield Output(core.durable, core.answers.check, core.wiring.streams, watch, task_id)

    async def check_known(self, task_id: str) -> None:
        """Return if there is such a task, or raise NotFound."""
        _check_id(task_id)
        self._core.answers.check()
        await self._state(task_id)

    def status(self) -> QueueStatus:
        """The numbers of tasks, the state of the queue and its backends."""
        return self._core.status()

    async def backends(self) -> builtins.list[BackendView]:
        """The backends with their models. Those that are up are asked for their models now."""
        return await self._core.backends()

    def tasks_by_model(self) -> dict[str, ModelTasks]:
        """How many tasks of each model wait and run now."""
        return self._core.board.by_model(trio.current_time())

    def timeline_spans(self, since: datetime) -> dict[str, builtins.list[TimelineSpan]]:
        """By the names of the backends, in their order, how each has been since that time."""
        return self._core.timeline_spans(since)

    def now(self) -> datetime:
        """The time, by the queue's own clock."""
        return self._core.clock.now()

    async def oldest_waiting(self) -> datetime | None:
        """When the oldest task that is ready to run was submitted; None if no task is ready."""
        return await self._core.oldest_waiting()

    def check_ready(self) -> None:
        """Return if tasks can be submitted, or raise Unavailable, which says why not."""
        self._core.admission.check_open()

    # -- changing

    async def cancel(self, task_id: str) -> None:
        """Cancel the task, also while it runs. It returns once that is on disk.

        Raises NotFound, or Conflict if the task has ended.
        """
        await self._command(Command(Verb.CANCEL, task_id))

    async def set_priority(self, task_id: str, priority: int | str) -> None:
        """Change the priority of a pending task. `priority` is 0 to 100, or a name.

        Raises NotFound, Conflict if the task is not pending, InvalidTask if that is no priority.
        """
        await self._command(Command(Verb.PRIORITY, task_id, parse_priority(priority)))

    async def retry(self, task_id: str) -> None:
        """Queue a failed or cancelled task again.

        Raises NotFound, or Conflict if the task is neither failed nor cancelled.
        """
        await self._command(Command(Verb.RETRY, task_id))

    async def delete(self, task_id: str) -> None:
        """Delete a task that has ended, with its result.

        Raises NotFound, or Conflict if the task has not ended.
        """
        await self._command(Command(Verb.DELETE, task_id))

    async def bulk(
        self, action: Verb, ids: Sequence[str] | TaskFilter, to: int | str = 0
    ) -> BulkOutcome:
        """Do one action on many tasks, and return when the changes are on disk.

        The tasks are those with these ids, or those that the filter admits, at most
        `queue.max_bulk`. If the filter names no status, only tasks for which the action is possible
        count. If the action is not possible for a task, the outcome says why. Raises InvalidTask if
        there are too many ids or if `to` is no priority.
        """
        most = self._core.config.queue.max_bulk
        level = parse_priority(to)
        more = False
        if isinstance(ids, TaskFilter):
            wanted = ids if ids.status else replace(ids, status=bulk.CONCERNS[action])
            named, more = await self._core.listing.ids(self._narrow(wanted), most)
        else:
            named = list(dict.fromkeys(map(task_id_of, ids)))
            if len(named) > most:
                raise InvalidTask("ids", f"{len(named)} ids, at most {most} (queue.max_bulk)")
        return await bulk.carry_out(self._ask_many, action, named, level, more=more)

    async def pause(self, model: str | None = None) -> None:
        """Start no more tasks until `resume`, also after a restart; with a `model`, no more of its
        tasks. Running tasks go on, and tasks can still be submitted.

        Raises InvalidTask if that is no name, and Conflict if too many models are paused.
        """
        await self._pause(model, paused=True)

    async def resume(self, model: str | None = None) -> None:
        """Start tasks again after `pause`; with a `model`, its tasks. A paused queue stays so."""
        await self._pause(model, paused=False)

    # -- events

    def subscribe(
        self,
        *,
        types: Collection[EventType] | None = None,
        task_id: str | None = None,
        after: int | None = None,
    ) -> AbstractContextManager[Subscription]:
        """``with queue.subscribe() as events: async for batch in events: ...``

        Each batch is a list of Event and Lagged. The events are those of tasks that the caller may
        see. `types` are the types of events to receive; if it
        is None, all except progress. With `after` the events after the one with this `seq` come
        first. Raises Unavailable if there are too many subscribers.
        """
        return self._core.hub.subscribe(types, task_id, after, self.caller)

    def encode_event(self, event: Event | Lagged) -> bytes:
        """The event as JSON, encoded once for all its readers."""
        return self._core.hub.encode(event)

    # -- how

    async def _pause(self, model: str | None, *, paused: bool) -> None:
        name = None if model is None else one_name(parse_model(model))
        await self._core.ask(Pause(paused, name))

    def _narrow(self, filter: TaskFilter) -> TaskFilter:
        return scope.narrow(filter, self.caller)

    async def _show(self, task_id: str) -> RawTask:
        core = self._core
        core.answers.check()
        try:
            record = await core.durable.record(task_id)
        except NotFound as error:
            raise self._unseen(error) from None
        self._check(record.state)
        if record.state.status.ended:
            core.wiring.reads.note(record.state)
        return await core.listing.shown_alone(record)

    async def _state(self, task_id: str) -> TaskState:
        """Where the task stands. NotFound."""
        try:
            state = await self._core.durable.state(task_id)
        except NotFound as error:
            raise self._unseen(error) from None
        self._check(state)
        return state

    def _check(self, state: TaskState) -> None:
        """NotFound if the caller may not see the task."""
        if not scope.may_see(scope.owner_of(state.terms), self.caller):
            raise NotFound(state.id)

    def _unseen(self, error: NotFound) -> NotFound:
        """The error as the caller may see it. Whose task it was that retention removed is not known
        any more: only who sees all tasks is told that there was one.
        """
        return error if scope.sees_all(self.caller) else NotFound(error.task_id)

    async def _check_seen(self, task_id: str) -> None:
        """The same without the record: it is read only if the caller may not see all tasks."""
        _check_id(task_id)
        self._core.answers.check()
        if not scope.sees_all(self.caller):
            await self._state(task_id)

    async def _command(self, command: Command) -> None:
        await self._check_seen(command.task_id)
        await self._core.ask(command)

    async def _ask_many(self, command: BulkCommand) -> None:
        for task_id in command.left:
            try:
                await self._check_seen(task_id)
            except NotFound as error:
                command.answer(task_id, error)
        await self._core.ask_many(command)


def _check_id(task_id: str) -> None:
    if not is_id(task_id_of(task_id)):
        raise NotFound(task_id)

"""A queue of dicts, for tests of the HTTP side alone: it does what it is told to, at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec
import trio

from oq.rules.filters import Page, TaskFilter
from oq.rules.ids import IdSource, is_id
from oq.rules.validation import Limits, check, check_batch
from oq.words.config import Config
from oq.words.errors import Conflict, NotFound, Unavailable
from oq.words.events import Event, EventType, Lagged
from oq.words.messages import Change, Committed
from oq.words.status import BackendStatus, QueueStatus
from oq.words.task import Attempt, Body, RawTask, Status, Submission, TaskState, Usage, show

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@dataclass
class Accepted:
    task_id: str
    status: Status
    created: bool


class FakeQueue:
    def __init__(self, config: Config | None = None) -> None:
        self.config = config or Config()
        limits = self.config.queue
        self.limits = Limits(limits.max_payload, limits.max_metadata, limits.max_batch, 3)
        self.states: dict[str, TaskState] = {}
        self.bodies: dict[str, Body] = {}
        self.keys: dict[str, tuple[bytes, str]] = {}
        self.events: list[Event] = []
        self.subscriptions: set[FakeSubscription] = set()
        self.observers: list[Callable[[Committed], None]] = []
        self.paused = self.draining = False
        self.problem: str | None = None
        self.changed = trio.Event()
        self.waiting = trio.Event()
        self.ids = IdSource()

    async def submit(self, task: Submission, *, idempotency_key: str | None = None) -> Accepted:
        self.check_ready()
        checked = check(task, self.limits)
        fingerprint = msgspec.json.encode(task)
        if idempotency_key in self.keys:
            known, task_id = self.keys[idempotency_key]
            if known != fingerprint:
                raise Conflict("the idempotency key was used for another task")
            return Accepted(task_id, self.states[task_id].status, False)
        state = TaskState(
            id=self.ids.next(NOW),
            type=checked.type,
            model=checked.model,
            priority=checked.priority,
            created_at=NOW,
            max_retries=checked.max_retries,
            metadata=checked.metadata,
        )
        self.bodies[state.id] = checked.body
        if idempotency_key is not None:
            self.keys[idempotency_key] = fingerprint, state.id
        self.change(state, EventType.TASK_SUBMITTED)
        return Accepted(state.id, state.status, True)

    async def submit_many(self, tasks: list[Submission]) -> list[str]:
        check_batch(tasks, self.limits)
        return [(await self.submit(task)).task_id for task in tasks]

    async def view(self, task_id: str, wait: float = 0) -> RawTask:
        state = self.find(task_id)
        with trio.move_on_after(wait):
            while wait and not state.status.ended:
                self.waiting.set()
                await self.changed.wait()
                state = self.find(task_id)
        result = b'{"response":"hi"}' if state.status is Status.COMPLETED else None
        return show(state, self.bodies[task_id], result)

    async def list(self, filter: TaskFilter) -> Page:
        shown = [
            state
            for state in sorted(self.states.values(), key=lambda state: state.id, reverse=True)
            if filter.admits(state) and (filter.after is None or state.id < filter.after)
        ][filter.offset :]
        page = [show(state, self.bodies[state.id]) for state in shown[: filter.limit]]
        return Page(page, page[-1].id if len(shown) > filter.limit else None)

    async def cancel(self, task_id: str) -> None:
        self.step(task_id, Status.CANCELLED, EventType.TASK_CANCELLED)

    async def set_priority(self, task_id: str, priority: int) -> None:
        state = self.find(task_id)
        if state.status is not Status.PENDING:
            raise Conflict(f"the task is {state.status}")
        self.change(msgspec.structs.replace(state, priority=priority), EventType.PRIORITY_UPDATED)

    async def retry(self, task_id: str) -> None:
        state = self.find(task_id)
        if state.status not in (Status.FAILED, Status.CANCELLED):
            raise Conflict(f"the task is {state.status}")
        self.change(
            msgspec.structs.replace(state, status=Status.PENDING), EventType.TASK_SUBMITTED
        )

    async def delete(self, task_id: str) -> None:
        if not self.find(task_id).status.ended:
            raise Conflict("the task has not ended")
        del self.states[task_id]

    async def pause(self) -> None:
        self.paused = True

    async def resume(self) -> None:
        self.paused = False

    def check_ready(self) -> None:
        if self.draining:
            raise Unavailable("the server is shutting down")
        if self.problem:
            raise Unavailable(self.problem)

    def status(self) -> QueueStatus:
        counts = {
            f"{status}_tasks": sum(state.status is status for state in self.states.values())
            for status in Status
        }
        return QueueStatus(
            **counts,
            total_tasks=len(self.states),
            queues_by_priority={"5": counts["pending_tasks"]},
            workers_active=0,
            workers_idle=4,
            delayed_tasks=0,
            retrying_tasks=0,
            paused=self.paused,
            draining=self.draining,
            uptime=1.5,
            event_seq=len(self.events),
            problem=self.problem,
            backends=(BackendStatus("ollama", "ollama", "http://x", up=True, running=0),),
        )

    def observe(self, observer: Callable[[Committed], None]) -> None:
        self.observers.append(observer)

    def subscribe(
        self,
        *,
        types: Collection[EventType] | None = None,
        task_id: str | None = None,
        after: int | None = None,
    ) -> FakeSubscription:
        return FakeSubscription(self, types, task_id, after)

    def encode_event(self, event: Event) -> bytes:
        return msgspec.json.encode(event)

    async def drain(self) -> None:
        self.draining = True
        for subscription in self.subscriptions:
            subscription.close()

    # What the test does in the place of workers.

    def find(self, task_id: str) -> TaskState:
        if not is_id(task_id) or task_id not in self.states:
            raise NotFound(task_id)
        return self.states[task_id]

    def finish(self, task_id: str) -> None:
        self.step(task_id, Status.RUNNING, EventType.TASK_STARTED, started_at=NOW)
        ended = NOW + timedelta(seconds=2)
        self.step(
            task_id,
            Status.COMPLETED,
            EventType.TASK_COMPLETED,
            completed_at=ended,
            attempts=(Attempt(NOW, ended),),
            usage=Usage(7, 11),
        )

    def step(self, task_id: str, status: Status, event: EventType, **fields: object) -> None:
        state = self.find(task_id)
        if state.status.ended:
            raise Conflict(f"the task is {state.status} already")
        self.change(msgspec.structs.replace(state, status=status, **fields), event)

    def change(self, state: TaskState, kind: EventType) -> None:
        before = self.states.get(state.id)
        self.states[state.id] = state
        event = Event(len(self.events) + 1, state.id, kind, state.status, NOW)
        self.events.append(event)
        change = Change(state, None if before is None else before.status, kind)
        for observer in self.observers:
            observer(Committed([change], [event]))
        for subscription in self.subscriptions:
            subscription.put(event)
        self.changed.set()
        self.changed = trio.Event()


class FakeSubscription:
    def __init__(
        self,
        queue: FakeQueue,
        types: Collection[EventType] | None,
        task_id: str | None,
        after: int | None,
    ) -> None:
        self.queue, self.types, self.task_id, self.after = queue, types, task_id, after
        self.due: deque[Event | Lagged] = deque()
        self.woken = trio.Event()
        self.closed = False

    def __enter__(self) -> FakeSubscription:
        self.seq = len(self.queue.events)
        self.queue.subscriptions.add(self)
        if self.after is not None:
            for event in self.queue.events[self.after :]:
                self.put(event)
        return self

    def __exit__(self, *problem: object) -> None:
        self.queue.subscriptions.discard(self)

    def put(self, event: Event) -> None:
        if (self.types is None or event.type in self.types) and (
            self.task_id is None or event.task_id == self.task_id
        ):
            self.due.append(event)
            self.woken.set()

    def lag(self, missed: int) -> None:
        self.due.append(Lagged(missed))
        self.woken.set()

    def close(self) -> None:
        self.closed = True
        self.woken.set()

    def __aiter__(self) -> FakeSubscription:
        return self

    async def __anext__(self) -> list[Event | Lagged]:
        while not self.due:
            if self.closed:
                raise StopAsyncIteration
            await self.woken.wait()
            self.woken = trio.Event()
        batch = list(self.due)
        self.due.clear()
        return batch

"""What `oq top` knows of the queue. Pure: events and answers in, figures out.

Events say at once what happens to which task; what a task is (its model, its tokens) comes with the
listings that are asked for now and then, and is remembered for as long as the task can be seen.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from oq.words.events import Event, EventType
from oq.words.task import Status, Summary, Task, time_inside
from oq.words.views import QueueStatus

SPAN = 10.0
"""Seconds over which the rates are averaged."""
_KEPT = 100


@dataclass(frozen=True, slots=True)
class Seen:
    """A task that runs or has ended. `tokens` counts those so far, if any are known. `inside` are
    the seconds that it waited inside its backend, as far as is known.
    """

    id: str
    status: Status
    model: str = ""
    backend: str = ""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    tokens: int | None = None
    error: str = ""
    inside: float = 0.0


class Rate:
    """How many a second, over the last SPAN seconds. Times are of one monotonic clock."""

    def __init__(self) -> None:
        self._counts: deque[tuple[float, int]] = deque()
        self._began: float | None = None

    def add(self, now: float, count: int = 1) -> None:
        """So many more."""
        self.per_second(now)
        self._counts.append((now, count))

    def per_second(self, now: float) -> float:
        """The average; of what there is, when there has been less than a SPAN."""
        if self._began is None:
            self._began = now
        while self._counts and self._counts[0][0] <= now - SPAN:
            self._counts.popleft()
        time = min(SPAN, max(1.0, now - self._began))
        return sum(count for _, count in self._counts) / time


class Board:
    """The queue as it is drawn."""

    def __init__(self, server: str, status: QueueStatus) -> None:
        self.server = server
        self.status = status
        self.problem: str | None = None
        """Why what is shown is old."""
        self.running: dict[str, Seen] = {}
        self.ended: OrderedDict[str, Seen] = OrderedDict()
        """By id, the last to end at the end."""
        self.tasks = Rate()
        self.tokens = Rate()

    def listed(self, running: Iterable[Task | Summary], ended: Iterable[Task | Summary]) -> None:
        """The server's word on what runs, and on some of what has ended."""
        before = self.running
        self.running = {task.id: self._seen(task, before.get(task.id)) for task in running}
        for task in sorted(ended, key=lambda task: task.completed_at or task.created_at):
            if task.id in self.ended or not self._full():
                self.ended[task.id] = self._seen(task, self.ended.get(task.id))

    def happened(self, event: Event, now: float) -> None:
        """One event; `now` is when it came, by a monotonic clock."""
        known = self.running.get(event.task_id) or Seen(event.task_id, event.status)
        data = event.data or {}
        match event.type:
            case EventType.TASK_STARTED:
                backend = str(data.get("backend", ""))
                self.running[event.task_id] = Seen(
                    event.task_id, event.status, known.model, backend, event.timestamp, tokens=0
                )
            case EventType.TASK_PROGRESS:
                self._progress(known, int(data.get("tokens", 0)), now)
            case EventType.TASK_RETRYING:
                self.running.pop(event.task_id, None)
            case EventType.TASK_COMPLETED | EventType.TASK_FAILED | EventType.TASK_CANCELLED:
                self.tasks.add(now)
                self._end(known, event)

    def _progress(self, known: Seen, tokens: int, now: float) -> None:
        if known.id in self.running:
            if known.tokens is not None:  # else it ran before we looked: no telling since when
                self.tokens.add(now, max(0, tokens - known.tokens))
            self.running[known.id] = replace(known, tokens=tokens)

    def _end(self, known: Seen, event: Event) -> None:
        self.running.pop(event.task_id, None)
        error = str((event.data or {}).get("error", ""))
        self.ended[event.task_id] = replace(
            known, status=event.status, ended_at=event.timestamp, error=error
        )
        self.ended.move_to_end(event.task_id)
        if self._full():
            self.ended.popitem(last=False)

    def _full(self) -> bool:
        return len(self.ended) >= _KEPT

    def _seen(self, task: Task | Summary, before: Seen | None) -> Seen:
        tokens = task.usage.completion_tokens if task.usage else before.tokens if before else None
        backend = task.attempts[-1].backend if task.attempts else None
        return Seen(
            task.id,
            task.status,
            task.model,
            backend or "",
            task.started_at,
            task.completed_at,
            tokens,
            task.error or "",
            time_inside(task.attempts),
        )

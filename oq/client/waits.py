"""Waits for many tasks at once: decides which tasks to request from the server. It does no I/O.

An event is only a reason to request a task. A wait ends when the requested task has ended. So no
end is missed if each task is requested once after the events began, and all tasks are requested
again whenever events may have been lost.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from oq.client.failures import again
from oq.client.follow import Hello
from oq.words.errors import OqError
from oq.words.events import Event, Lagged
from oq.words.task import Task


class Wait:
    """One wait for the end of a task. `wake` is called once the `outcome` is known."""

    __slots__ = ("outcome", "task_id", "wake")

    def __init__(self, task_id: str, wake: Callable[[], object]) -> None:
        self.task_id = task_id
        self.wake = wake
        self.outcome: Task | OqError | None = None


class Waits:
    """All waits. Request each `next_due` task, and call `found` with it, or `failed`."""

    def __init__(self) -> None:
        self._waits: dict[str, set[Wait]] = {}
        # In order, each once. The first of a plain dict is found behind all that has been removed.
        self._due: OrderedDict[str, None] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._waits)

    @property
    def due(self) -> bool:
        return bool(self._due)

    def add(self, wait: Wait) -> None:
        self._waits.setdefault(wait.task_id, set()).add(wait)
        self._due[wait.task_id] = None

    def drop(self, wait: Wait) -> None:
        """Remove this wait, if it is still there."""
        waits = self._waits.get(wait.task_id, set())
        waits.discard(wait)
        if not waits:
            self._waits.pop(wait.task_id, None)
            self._due.pop(wait.task_id, None)

    def note(self, item: Hello | Event | Lagged) -> None:
        """An event came. When events begin, or some were lost, all tasks are requested again."""
        if not isinstance(item, Event):
            self._due = OrderedDict.fromkeys(self._waits)
        elif item.status.ended and item.task_id in self._waits:
            self._due[item.task_id] = None

    def next_due(self) -> str | None:
        """The next task to request, or None. A later event makes it due again."""
        task_id = next(iter(self._due), None)
        if task_id is not None:
            del self._due[task_id]
        return task_id

    def found(self, task: Task) -> None:
        """The task was read. If it has ended, the waits for it end."""
        if task.status.ended:
            self._settle(task.id, task)

    def failed(self, task_id: str, error: OqError) -> None:
        """The task cannot be read. The waits for it end with this error."""
        self._settle(task_id, error)

    def fail_all(self, error: OqError) -> None:
        for task_id in tuple(self._waits):
            self._settle(task_id, error)

    def _settle(self, task_id: str, outcome: Task | OqError) -> None:
        self._due.pop(task_id, None)
        for wait in self._waits.pop(task_id, ()):
            wait.outcome = outcome if isinstance(outcome, Task) else again(outcome)
            wait.wake()

"""Measures how long tasks wait and how long their attempts take, for `/metrics`.

A task's record does not say it all: a start clears the time that was waited for, and an attempt
that never began leaves the one before it as the last. So the times of tasks that wait or run are
kept here, each until its next step: never more than there are such tasks.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from oq.words.events import EventType
from oq.words.steps import Change
from oq.words.task import Status, TaskState


class TaskDurations:
    """The start times of tasks that wait or run. It must see every step, in order."""

    def __init__(self) -> None:
        self._due: dict[str, datetime] = {}
        self._began: dict[str, TaskState] = {}

    def waited(self, start: Change) -> float:
        """Seconds that a task which is started now could have run already: a delay that was asked
        for is not waiting, nor is the pause before a retry.
        """
        state = start.state
        put_back = self._due.pop(state.id, None)
        if state.started_at is None:
            return 0.0
        self._began[state.id] = state
        since = state.created_at
        due = start.due or state.run_at or put_back or _due_by_record(state)
        if due is not None and due > since:
            since = due
        return (state.started_at - since).total_seconds()

    def stopped(self, task_id: str) -> TaskState | None:
        """The task as it was started, if it ran until now."""
        return self._began.pop(task_id, None)

    def all_running(self) -> Iterable[TaskState]:
        """The tasks that run, as they were started."""
        return self._began.values()

    def running(self, task_id: str) -> TaskState | None:
        """The task as it was started, if it runs."""
        return self._began.get(task_id)

    def wait(self, change: Change, at: datetime) -> None:
        """Note from when on a pending task waits; `at` is when this step was told."""
        state = change.state
        if state.status is not Status.PENDING:
            self._due.pop(state.id, None)
        elif state.run_at is None and change.event is EventType.TASK_RETRYING:
            self._due[state.id] = at


def time_ran(begun: TaskState, ended: TaskState) -> float | None:
    """Seconds that the attempt ran that began and ended with these states, without those that it
    waited inside its backend; None if it had not begun there.
    """
    if not ended.attempts:
        return None
    last = ended.attempts[-1]
    return last.ran if last.started_at == begun.started_at else None


def _due_by_record(state: TaskState) -> datetime | None:
    """What the record itself tells: all there is of a task that waited before oq was started."""
    return state.attempts[-2].ended_at if len(state.attempts) > 1 else None

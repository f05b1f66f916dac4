"""What has come of a task that somebody waited for: its result, or the error that says why there is
none.
"""

from __future__ import annotations

from typing import Any

from oq.words.errors import StoreCorrupt, TaskCancelled, TaskFailed
from oq.words.task import Status, Task


def answer_of(task: Task) -> dict[str, Any] | None:
    """The result of the task; None if it has not ended. TaskFailed, TaskCancelled, and StoreCorrupt
    if it completed and its result cannot be read from the disk any more.
    """
    match task.status:
        case Status.COMPLETED:
            if is_lost(task):
                raise StoreCorrupt(
                    f"task {task.id} has completed, but its result is lost: {task.error}"
                )
            return task.result or {}
        case Status.FAILED:
            raise TaskFailed(task.id, task.error or "no reason was given")
        case Status.CANCELLED:
            raise TaskCancelled(task.id)
    return None


def is_lost(task: Task) -> bool:
    """Whether the task had a result, which the disk has damaged."""
    return task.status is Status.COMPLETED and task.damaged and task.result is None

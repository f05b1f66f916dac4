"""What has come of a task that somebody waited for."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from oq.words.answer import answer_of
from oq.words.errors import StoreCorrupt, TaskCancelled, TaskFailed
from oq.words.task import Status, Task, TaskType

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def task(status: Status, **more: Any) -> Task:
    return Task(
        id="t1", type=TaskType.CHAT, priority=5, status=status, model="m", created_at=NOW,
        retry_count=0, max_retries=3, payload={}, **more,
    )  # fmt: skip


def test_a_task_that_has_not_ended_has_no_answer_yet():
    assert answer_of(task(Status.PENDING)) is None
    assert answer_of(task(Status.RUNNING)) is None


def test_each_end_is_told_as_what_it_is():
    assert answer_of(task(Status.COMPLETED, result={"a": 1})) == {"a": 1}
    with pytest.raises(TaskFailed, match="no such model"):
        answer_of(task(Status.FAILED, error="no such model"))
    with pytest.raises(TaskCancelled):
        answer_of(task(Status.CANCELLED))


def test_a_result_that_cannot_be_read_is_no_empty_one():
    with pytest.raises(StoreCorrupt, match="t1 has completed, but its result is lost: it cannot"):
        answer_of(task(Status.COMPLETED, damaged=True, error="it cannot be read"))
    body_only = task(Status.COMPLETED, damaged=True, error="its body", result={"a": 1})
    assert answer_of(body_only) == {"a": 1}

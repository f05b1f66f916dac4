"""Tasks, settings and errors, as a user's type checker sees them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, assert_type

import oq

assert_type(oq.chat("llama3.2", "hello"), oq.NewTask)
oq.chat("llama3.2", {"role": "user", "content": "hello"})
oq.chat(
    "llama3.2",
    [{"role": "user", "content": "hello"}],
    system="Be brief.",
    extra={"format": "json", "think": False},
    options={"temperature": 0},
    priority="high",
    timeout="2m",
    max_retries=5,
    run_at=datetime.now(UTC) + timedelta(hours=1),
    metadata={"user": "ada"},
)
oq.chat("llama3.2", 7)  # type: ignore[arg-type]
oq.chat("llama3.2", "hello", temperature=0)  # type: ignore[call-arg]

assert_type(oq.generate("codellama", "def f", template="{{ .Prompt }}", timeout=120), oq.NewTask)
oq.generate("codellama", "def f", priority=7, run_at="2030-01-31T12:00:00Z")
oq.generate("codellama", ["def f"])  # type: ignore[arg-type]

assert_type(oq.embed("nomic-embed-text", "a text", truncate=True), oq.NewTask)
oq.embed("nomic-embed-text", ["a text", "and another"], timeout=timedelta(seconds=90))
oq.embed("nomic-embed-text", b"bytes are no text")  # type: ignore[arg-type]

assert_type(oq.Config().queue.max_workers, int | None)
assert_type(oq.Config().retry_config.backoff_factor, float)


def read(task: oq.Task, summary: oq.Summary) -> None:
    """The fields of what is read."""
    assert_type(task.id, str)
    assert_type(task.type, oq.TaskType)
    assert_type(task.status, oq.Status)
    assert_type(task.status.ended, bool)
    assert_type(task.priority, int)
    assert_type(task.created_at, datetime)
    assert_type(task.completed_at, datetime | None)
    assert_type(task.payload, dict[str, Any])
    assert_type(task.result, dict[str, Any] | None)
    assert_type(task.error, str | None)
    assert_type(task.queue_position, int | None)
    assert_type(task.attempts[0].error, str | None)
    if task.usage is not None:
        assert_type(task.usage.completion_tokens, int)
    assert_type(task.to_dict(), dict[str, Any])
    assert_type(summary.excerpt, str)
    assert_type(summary.to_dict(), dict[str, Any])


def follow(chunk: oq.Chunk, event: oq.Event | oq.Lagged) -> None:
    """The fields of what comes by and by."""
    assert_type(chunk.data, str)
    assert_type(chunk.thinking, str | None)
    assert_type(chunk.offset, int)
    assert_type(chunk.done, bool)
    if isinstance(event, oq.Lagged):
        assert_type(event.missed, int)
    else:
        assert_type(event.type, oq.EventType)
        assert_type(event.seq, int)
        assert_type(event.task_id, str)


def explain(error: oq.OqError) -> float:
    """Each error has what a program does with it."""
    match error:
        case oq.InvalidTask():
            assert_type(error.field, str)
        case oq.InvalidBatch():
            assert_type(error.problems, dict[int, str])
        case oq.QueueFull():
            return assert_type(error.retry_after, float)
        case oq.NotFound() | oq.TaskFailed() | oq.TaskCancelled():
            assert_type(error.task_id, str)
    return 0.0

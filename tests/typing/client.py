"""`oq.Client`, as a user's type checker sees it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, assert_type

import oq

with oq.Client("localhost:7125", timeout="30s", patience=timedelta(minutes=5)) as opened:
    assert_type(opened, oq.Client)
oq.Client(port=7125)  # type: ignore[call-arg]
oq.Client().close()


def submit(queue: oq.Client) -> None:
    task = oq.chat("llama3.2", "hello")
    assert_type(queue.submit(task), str)
    assert_type(queue.submit(task, idempotency_key="monday"), str)
    assert_type(queue.submit_many([task, task]), list[str])
    queue.submit("hello")  # type: ignore[arg-type]
    queue.submit(task, priority="high")  # type: ignore[call-arg]
    for ended in queue.run_batch([task, task]):
        assert_type(ended, oq.Task)


def read(queue: oq.Client, task_id: str) -> None:
    assert_type(queue.get(task_id), oq.Task)
    assert_type(queue.get(task_id, wait="5m"), oq.Task)
    assert_type(queue.result(task_id), dict[str, Any])
    assert_type(queue.result(task_id, timeout=timedelta(minutes=5)), dict[str, Any])
    eta = queue.get(task_id).eta
    if eta is not None:
        assert_type(eta.starts.p50, datetime)
    queue.get(7)  # type: ignore[arg-type]
    today = datetime.now(UTC) - timedelta(days=1)
    found = queue.list(status=["failed", oq.Status.CANCELLED], model="llama3.2", since=today)
    assert_type(found, list[oq.Task])
    shown = queue.list_summaries(priority=["high", 3], type="chat", sort="oldest", limit=10)
    assert_type(shown, list[oq.Summary])
    queue.list(sort="sideways")  # type: ignore[arg-type]
    assert_type(queue.count(text="invoice", until="2030-01-31T12:00:00Z").count, int)
    queue.count(colour="red")  # type: ignore[call-arg]


def act(queue: oq.Client, task_id: str) -> None:
    queue.cancel(task_id)
    queue.set_priority(task_id, "critical")
    queue.set_priority(task_id, 7)
    queue.set_priority(task_id)  # type: ignore[call-arg]
    queue.retry(task_id)
    queue.delete(task_id)
    assert_type(queue.bulk("retry", status="failed").done, int)
    assert_type(queue.bulk("priority", [task_id], to="low").problems[0].error, str)
    queue.pause()
    queue.pause("llama3.2")
    queue.resume(model="llama3.2")
    queue.resume()


def look(queue: oq.Client) -> None:
    assert_type(queue.status(), oq.QueueStatus)
    assert_type(queue.status().queues_by_priority, dict[str, int])
    assert_type(queue.status().empty_at, datetime | None)
    for backend in queue.backends():
        assert_type(backend.up, bool)
        assert_type([model.name for model in backend.models], list[str])
    assert_type(queue.stats("24h").points[0].wait_p95, float | None)
    assert_type(queue.models("24h").models[0].model, str | None)


def follow(queue: oq.Client, task_id: str) -> None:
    with queue.stream(task_id, offset=3, attempt=1) as chunks:
        for chunk in chunks:
            assert_type(chunk, oq.Chunk)
    with queue.subscribe({"task_failed"}, task_id=task_id, after=7) as events:
        for event in events:
            assert_type(event, oq.Event | oq.Lagged)

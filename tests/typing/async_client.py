"""`oq.AsyncClient` and `oq.watch`, as a user's type checker sees them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, assert_type

import anyio

import oq


async def main() -> None:
    async with oq.AsyncClient("localhost:7125", on_away=lambda why, pause: None) as queue:
        assert_type(queue, oq.AsyncClient)
    await oq.AsyncClient().aclose()
    async with oq.watch("localhost:7125", "task_completed", patience=60) as events:
        async for event in events:
            assert_type(event, oq.Event | oq.Lagged)


async def submit(queue: oq.AsyncClient) -> None:
    task = oq.chat("llama3.2", "hello")
    assert_type(await queue.submit(task), str)
    assert_type(await queue.submit(task, idempotency_key="monday"), str)
    assert_type(await queue.submit_many([task, task]), list[str])
    await queue.submit("hello")  # type: ignore[arg-type]
    await queue.submit(task, priority="high")  # type: ignore[call-arg]
    for ended in await queue.run_batch([task, task]):
        assert_type(ended, oq.Task)
    send, receive = anyio.create_memory_object_stream[oq.Task](10)
    await queue.submit(task, on_done=later, results_to=send)
    assert_type(await receive.receive(), oq.Task)
    await queue.submit(task, on_done=3)  # type: ignore[arg-type]


async def later(task: oq.Task) -> None: ...


async def read(queue: oq.AsyncClient, task_id: str) -> None:
    assert_type(await queue.get(task_id), oq.Task)
    assert_type(await queue.get(task_id, wait="5m"), oq.Task)
    assert_type(await queue.result(task_id), dict[str, Any])
    assert_type(await queue.result(task_id, timeout=timedelta(minutes=5)), dict[str, Any])
    await queue.get(7)  # type: ignore[arg-type]
    today = datetime.now(UTC) - timedelta(days=1)
    found = await queue.list(status=["failed", oq.Status.CANCELLED], model="llama3.2", since=today)
    assert_type(found, list[oq.Task])
    shown = await queue.list_summaries(priority=["high", 3], type="chat", sort="oldest", limit=10)
    assert_type(shown, list[oq.Summary])
    await queue.list(sort="sideways")  # type: ignore[arg-type]
    assert_type((await queue.count(text="invoice", until="2030-01-31T12:00:00Z")).count, int)
    await queue.count(colour="red")  # type: ignore[call-arg]


async def act(queue: oq.AsyncClient, task_id: str) -> None:
    await queue.cancel(task_id)
    await queue.set_priority(task_id, "critical")
    await queue.set_priority(task_id, 7)
    await queue.set_priority(task_id)  # type: ignore[call-arg]
    await queue.retry(task_id)
    await queue.delete(task_id)
    assert_type((await queue.bulk("retry", status="failed")).done, int)
    assert_type((await queue.bulk("priority", [task_id], to="low")).problems[0].error, str)
    await queue.pause()
    await queue.pause("llama3.2")
    await queue.resume(model="llama3.2")
    await queue.resume()


async def look(queue: oq.AsyncClient) -> None:
    assert_type(await queue.status(), oq.QueueStatus)
    assert_type((await queue.status()).queues_by_priority, dict[str, int])
    for backend in await queue.backends():
        assert_type(backend.up, bool)
        assert_type([model.name for model in backend.models], list[str])
    assert_type((await queue.stats("24h")).points[0].wait_p95, float | None)
    assert_type((await queue.models("24h")).models[0].model, str | None)


async def follow(queue: oq.AsyncClient, task_id: str) -> None:
    async with queue.stream(task_id, offset=3, attempt=1) as chunks:
        async for chunk in chunks:
            assert_type(chunk, oq.Chunk)
    async with queue.subscribe({"task_failed"}, task_id=task_id, after=7) as events:
        async for event in events:
            assert_type(event, oq.Event | oq.Lagged)

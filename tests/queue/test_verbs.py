"""One suite for every face: the embedded queue, BlockingQueue, Client and AsyncClient."""

from __future__ import annotations

import inspect
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import oq
from tests.support.faces import everywhere
from tests.support.servers import served

UNKNOWN = "01900000-0000-7000-8000-000000000000"
VERBS = [
    "submit", "submit_many", "result", "run_batch", "stream", "get", "list", "status",
    "list_summaries", "bulk", "backends",
    "cancel", "set_priority", "retry", "delete", "pause", "resume", "subscribe",
]  # fmt: skip


def prompt(
    said: str = "hello",
    /,
    *,
    model: str = "m",
    simulate: dict[str, Any] | None = None,
    **terms,
) -> oq.NewTask:
    return oq.generate(model, said, options=simulate and {"simulate": simulate}, **terms)


def answer(text: str, **terms) -> oq.NewTask:
    return prompt(simulate={"text": text}, **terms)


HANG = prompt(simulate={"fault": "hang"})
REFUSED = prompt(simulate={"status": 400, "error": "not like this"})


async def submit_running(queue, task: oq.NewTask = HANG) -> str:
    """Submit a task and return once it runs."""
    async with queue.subscribe({"task_started"}) as events:
        task_id = await queue.submit(task)
        async for event in events:
            if event.task_id == task_id:
                return task_id
    pytest.fail("the events ended")


@pytest.mark.parametrize("face", [oq.Queue, oq.BlockingQueue, oq.Client, oq.AsyncClient])
def test_every_face_has_every_verb_with_the_same_arguments(face):
    for verb in VERBS:
        ours = list(inspect.signature(getattr(face, verb)).parameters)
        first = list(inspect.signature(getattr(oq.Client, verb)).parameters)
        assert ours[: len(first)] == first, verb


# -- submitting, reading, waiting


@everywhere(max_workers=1)
async def test_a_task_that_would_wait_for_too_long_is_refused(queue):
    for task_id in await queue.submit_many([answer("x")] * 40):
        await queue.result(task_id, timeout=20)
    await submit_running(queue)
    await queue.submit_many([answer("x")] * 100)
    with pytest.raises(oq.WaitTooLong, match="and may wait for 0 s") as error:
        await queue.submit(answer("x"), max_wait=0)
    assert (error.value.most, error.value.retry_after >= 1) == (0, True)
    with pytest.raises(oq.WaitTooLong):
        await queue.submit_many([answer("x")] * 2, max_wait="0s")
    assert await queue.submit(answer("x"), max_wait="1h")
    assert await queue.submit(answer("x"), max_wait=float("inf"))
    assert len(await queue.submit_many([answer("x")] * 2, max_wait=3600)) == 2
    with pytest.raises(oq.InvalidTask, match="max_wait"):
        await queue.submit(answer("x"), max_wait="soon")


@everywhere()
async def test_a_task_is_submitted_runs_and_is_read(queue):
    task_id = await queue.submit(
        answer("Paris.", priority="high", max_retries=7, timeout="2m", metadata={"user": "ada"})
    )
    result = await queue.result(task_id, timeout=20)
    assert (result["response"], result["done"]) == ("Paris.", True)
    task = await queue.get(task_id)
    assert isinstance(task, oq.Task)
    assert (task.id, task.type, task.model) == (task_id, oq.TaskType.GENERATE, "m")
    assert (task.status, task.priority) == (oq.Status.COMPLETED, oq.Priority.HIGH)
    assert (task.max_retries, task.retry_count, task.timeout) == (7, 0, 120)
    assert (task.metadata, task.payload) == ({"user": "ada"}, {"prompt": "hello"})
    assert task.result == result
    assert task.usage.completion_tokens > 0
    (attempt,) = task.attempts
    assert (attempt.backend, attempt.error) == ("sim", None)
    assert task.created_at <= task.started_at <= task.completed_at


@everywhere()
async def test_chat_and_embed_give_the_models_own_answers(queue):
    ids = await queue.submit_many(
        [oq.chat("m", "hi", system="be brief"), oq.embed("m", ["a", "b"])]
    )
    assert (await queue.result(ids[0]))["message"]["role"] == "assistant"
    assert len((await queue.result(ids[1]))["embeddings"]) == 2


@everywhere()
async def test_a_task_waits_for_its_time(queue):
    at = datetime.now(UTC) + timedelta(seconds=0.3)
    task_id = await queue.submit(prompt(run_at=at))
    await queue.result(task_id)
    assert (await queue.get(task_id)).started_at >= at


@everywhere()
async def test_a_key_gives_the_same_task_again(queue):
    first = await queue.submit(prompt("a"), idempotency_key="k")
    assert await queue.submit(prompt("a"), idempotency_key="k") == first
    with pytest.raises(oq.Conflict, match="belongs to a different task"):
        await queue.submit(prompt("b"), idempotency_key="k")
    assert len(await queue.list()) == 1


@everywhere()
async def test_none_at_all_are_many_too(queue):
    assert await queue.submit_many([]) == []
    assert await queue.run_batch([]) == []
    assert (await queue.status()).total_tasks == 0


@everywhere()
async def test_many_are_stored_in_their_order_or_not_at_all(queue):
    await queue.pause()
    ids = await queue.submit_many([prompt(str(n)) for n in range(20)])
    assert [task.id for task in await queue.list()] == ids[::-1]
    with pytest.raises(oq.InvalidBatch) as refused:
        await queue.submit_many([prompt(), prompt(priority=101), prompt(timeout="soon")])
    assert set(refused.value.problems) == {1, 2}
    assert "priority" in refused.value.problems[1]
    with pytest.raises(oq.InvalidBatch) as refused:
        await queue.submit_many([prompt(priority=101), prompt(max_retries="many"), prompt()])
    assert set(refused.value.problems) == {0, 1}
    with pytest.raises(oq.InvalidBatch) as refused:
        await queue.submit_many([prompt(), prompt(metadata={"what": object()})])
    assert set(refused.value.problems) == {1}
    assert (await queue.status()).total_tasks == 20


@everywhere()
async def test_a_batch_gives_the_ended_tasks_in_its_order(queue):
    slow = prompt(simulate={"text": "slow", "delay": 0.2})
    tasks = await queue.run_batch([slow, answer("fast"), REFUSED])
    assert [task.status for task in tasks] == ["completed", "completed", "failed"]
    assert [task.result["response"] for task in tasks[:2]] == ["slow", "fast"]
    assert "not like this" in tasks[2].error


@everywhere()
async def test_waiting_ends_with_the_task_or_with_patience(queue):
    task_id = await queue.submit(prompt(simulate={"delay": 0.2}))
    assert (await queue.get(task_id, wait=20)).status is oq.Status.COMPLETED
    hanging = await submit_running(queue)
    assert (await queue.get(hanging, wait=0.05)).status is oq.Status.RUNNING
    with pytest.raises(TimeoutError):
        await queue.result(hanging, timeout=0.05)
    assert (await queue.get(hanging)).status is oq.Status.RUNNING


@everywhere()
async def test_what_did_not_complete_is_raised(queue):
    failed = await queue.submit(REFUSED)
    with pytest.raises(oq.TaskFailed, match="not like this") as failure:
        await queue.result(failed)
    assert failure.value.task_id == failed
    cancelled = await submit_running(queue)
    await queue.cancel(cancelled)
    with pytest.raises(oq.TaskCancelled) as cancel:
        await queue.result(cancelled)
    assert cancel.value.task_id == cancelled


@everywhere()
async def test_tasks_are_listed_newest_first_by_what_is_asked_for(queue):
    await queue.pause()
    ids = [
        await queue.submit(task)
        for task in (
            oq.chat("a", "x"), oq.embed("b", "x"), oq.generate("b", "x", priority="critical"),
            oq.generate("c", "x", priority=7),
        )
    ]  # fmt: skip
    await queue.cancel(ids[0])

    async def found(**filters: Any) -> list[int]:
        return [ids.index(task.id) for task in await queue.list(**filters)]

    assert await found() == [3, 2, 1, 0]
    assert await found(status="pending") == [3, 2, 1]
    assert await found(status=["pending", "cancelled"], type="chat") == [0]
    assert await found(type={"embed", "generate"}, model="b") == [2, 1]
    assert await found(priority=["critical", 7]) == [3, 2]
    assert await found(limit=2, offset=1) == [2, 1]
    assert await found(after=ids[2]) == [1, 0]
    with pytest.raises(oq.InvalidTask, match="status"):
        await queue.list(status="finished")


@everywhere(max_workers=1)
async def test_the_status_counts(queue):
    await queue.run_batch([prompt(), REFUSED])
    running = await submit_running(queue)
    await queue.submit_many([prompt(priority="low"), prompt(priority=7)])
    await queue.submit(prompt(run_at=datetime.now(UTC) + timedelta(hours=1)))
    status = await queue.status()
    assert isinstance(status, oq.QueueStatus)
    assert (status.completed_tasks, status.failed_tasks, status.cancelled_tasks) == (1, 1, 0)
    assert (status.running_tasks, status.pending_tasks, status.delayed_tasks) == (1, 3, 1)
    assert (status.workers_active, status.workers_idle, status.paused) == (1, 0, False)
    assert status.queues_by_priority["7"] == 1
    assert [(end.name, end.up, end.running) for end in status.backends] == [("sim", True, 1)]
    await queue.cancel(running)
    assert (await queue.status()).cancelled_tasks == 1


# -- acting on tasks


@everywhere()
async def test_a_model_is_paused_and_others_run(queue):
    await queue.pause("m:latest")
    waits = await queue.submit(prompt())
    await queue.result(await queue.submit(prompt(model="n")))
    assert (await queue.get(waits)).waits_for == "m is paused"
    assert (await queue.status()).paused_models == ("m",)
    await queue.resume(model="m")
    await queue.result(waits)
    with pytest.raises(oq.InvalidTask, match="model"):
        await queue.pause("")


@everywhere(max_workers=1)
async def test_priority_decides_what_runs_next(queue):
    await queue.pause()
    assert (await queue.status()).paused
    low, normal, raised = await queue.submit_many(
        [prompt(priority="low"), prompt(), prompt(priority=0)]
    )
    await queue.set_priority(raised, "critical")
    task = await queue.get(raised)
    assert (task.priority, task.queue_position) == (oq.Priority.CRITICAL, 1)
    async with queue.subscribe({"task_started"}) as events:
        await queue.resume()
        started = [(await anext(events)).task_id for _ in range(3)]
    assert started == [raised, normal, low]
    with pytest.raises(oq.Conflict):
        await queue.set_priority(raised, "low")
    with pytest.raises(oq.InvalidTask, match="priority"):
        await queue.set_priority(low, "urgent")


@everywhere()
async def test_a_task_is_cancelled_while_it_waits_and_while_it_runs(queue):
    running = await submit_running(queue)
    await queue.cancel(running)
    await queue.pause()
    waiting = await queue.submit(prompt())
    await queue.cancel(waiting)
    for task_id in (running, waiting):
        assert (await queue.get(task_id)).status is oq.Status.CANCELLED
        with pytest.raises(oq.Conflict, match="cancelled"):
            await queue.cancel(task_id)


@everywhere()
async def test_an_ended_task_is_queued_again_or_forgotten(queue):
    failed, done = (task.id for task in await queue.run_batch([REFUSED, prompt()]))
    await queue.retry(failed)
    task = await queue.get(failed, wait=20)
    assert (task.status, len(task.attempts)) == (oq.Status.FAILED, 2)
    with pytest.raises(oq.Conflict, match="completed"):
        await queue.retry(done)
    await queue.delete(done)
    with pytest.raises(oq.NotFound):
        await queue.get(done)
    running = await submit_running(queue)
    with pytest.raises(oq.Conflict):
        await queue.delete(running)


# -- following


async def read(queue, task_id: str, **where: Any) -> list[oq.Chunk]:
    async with queue.stream(task_id, **where) as chunks:
        return [chunk async for chunk in chunks]


def text(chunks: list[oq.Chunk]) -> str:
    return "".join(chunk.data for chunk in chunks)


@everywhere()
async def test_a_stream_is_read_as_it_comes_again_and_from_where_one_was(queue):
    task_id = await queue.submit(prompt(simulate={"text": "one two three four", "rate": 50}))
    live = await read(queue, task_id)
    assert all(isinstance(chunk, oq.Chunk) for chunk in live)
    assert text(live) == "one two three four"
    assert [chunk.done for chunk in live[:-1]] == [False] * (len(live) - 1)
    assert (live[-1].done, live[-1].status) == (True, oq.Status.COMPLETED)
    assert text(await read(queue, task_id)) == text(live)
    first = live[0]
    rest = await read(queue, task_id, offset=first.offset, attempt=first.attempt)
    assert first.data + text(rest) == text(live)


@everywhere()
async def test_a_stream_ends_with_how_the_task_ended(queue):
    script = {"text": "a b c d", "fault": "error", "at": 2, "error": "the model fell over"}
    task_id = await queue.submit(prompt(simulate=script, max_retries=0))
    last = (await read(queue, task_id))[-1]
    assert (last.done, last.status) == (True, oq.Status.FAILED)
    assert "the model fell over" in last.error


@everywhere()
async def test_thinking_and_tool_calls_are_in_the_stream(queue):
    task = oq.chat(
        "m", "what is the weather?", extra={"tools": [{"type": "function"}], "think": True},
        options={"simulate": {
            "text": "sunny", "thinking": "hmm", "tool_calls": [{"name": "weather"}],
        }},
    )  # fmt: skip
    seen = await read(queue, await queue.submit(task))
    assert "".join(chunk.thinking or "" for chunk in seen) == "hmm"
    calls = [call for chunk in seen for call in chunk.tool_calls or ()]
    assert [call["function"]["name"] for call in calls] == ["weather"]


@everywhere()
async def test_events_tell_a_tasks_life(queue):
    async with queue.subscribe() as events:
        task_id = await queue.submit(prompt())
        seen = [await anext(events) for _ in range(3)]
    assert all(isinstance(event, oq.Event) for event in seen)
    assert [event.type for event in seen] == ["task_submitted", "task_started", "task_completed"]
    assert [event.status for event in seen] == ["pending", "running", "completed"]
    assert {event.task_id for event in seen} == {task_id}
    assert [event.seq for event in seen] == [1, 2, 3]
    async with queue.subscribe(after=1) as events:
        assert await anext(events) == seen[1]


@everywhere()
async def test_events_are_chosen_by_type_and_task(queue):
    await queue.pause()
    one, other = await queue.submit_many([prompt(), prompt()])
    async with queue.subscribe({"task_completed", "priority_updated"}, task_id=one) as events:
        await queue.set_priority(other, 9)
        await queue.set_priority(one, 8)
        await queue.resume()
        seen = [await anext(events) for _ in range(2)]
    assert [(event.type, event.task_id) for event in seen] == [
        ("priority_updated", one), ("task_completed", one)
    ]  # fmt: skip
    assert seen[0].data["priority"] == 8


@everywhere()
async def test_who_asks_for_progress_gets_it(queue):
    async with queue.subscribe("task_progress") as events:
        task_id = await queue.submit(prompt(simulate={"tokens": 10, "rate": 50}))
        event = await anext(events)
    assert (event.type, event.task_id) == (oq.EventType.TASK_PROGRESS, task_id)
    assert event.data["tokens"] >= 1


@everywhere()
async def test_events_of_a_kind_that_there_is_not_are_refused(queue):
    with pytest.raises(oq.InvalidTask, match="task_finished"):
        async with queue.subscribe({"task_finished"}):
            pass


# -- errors


@everywhere()
async def test_a_task_that_there_is_not(queue):
    for verb in ("get", "result", "cancel", "retry", "delete"):
        with pytest.raises(oq.NotFound) as missing:
            await getattr(queue, verb)(UNKNOWN)
        assert missing.value.task_id == UNKNOWN
    with pytest.raises(oq.NotFound):
        await queue.set_priority(UNKNOWN, 1)
    with pytest.raises(oq.NotFound):
        await read(queue, UNKNOWN)
    with pytest.raises(oq.NotFound):
        await queue.get("not an id")


@everywhere()
async def test_a_task_that_is_wrong_is_refused_with_its_field(queue):
    for field, task in {
        "priority": prompt(priority="urgent"),
        "timeout": prompt(timeout="soon"),
        "model": oq.generate("", "x"),
        "payload.messages[0]": oq.chat("m", [{"content": "who says so?"}]),
        "metadata": prompt(metadata={"much": "x" * 5000}),
    }.items():
        with pytest.raises(oq.InvalidTask) as refused:
            await queue.submit(task)
        assert refused.value.field == field
        assert refused.value.reason
    with pytest.raises(oq.InvalidTask):
        await queue.submit(prompt(metadata={"what": object()}))
    assert (await queue.status()).total_tasks == 0


@everywhere(max_pending=2)
async def test_a_full_queue_says_when_to_come_back(queue):
    await queue.pause()
    await queue.submit_many([prompt(), prompt()])
    for submit in (queue.submit(prompt()), queue.submit_many([prompt()])):
        with pytest.raises(oq.QueueFull) as full:
            await submit
        assert full.value.limit == 2
        assert full.value.retry_after >= 1


@everywhere(max_payload=1024)
async def test_a_task_that_is_too_large_is_refused(queue):
    with pytest.raises((oq.PayloadTooLarge, oq.InvalidTask)):
        await queue.submit(prompt("x" * 2000))


# -- many at once

LATER = {"run_at": datetime(2099, 1, 1, tzinfo=UTC)}


@everywhere()
async def test_tasks_are_found_by_text_and_time_and_listed_in_an_order(queue):
    before = datetime.now(UTC) - timedelta(minutes=1)
    low = await queue.submit(prompt("find the needle", priority="low", **LATER))
    high = await queue.submit(prompt("another needle", priority="high", **LATER))
    await queue.submit(prompt("hay", **LATER))
    for verb in (queue.list, queue.list_summaries):
        assert [task.id for task in await verb(text="needle")] == [high, low]
        assert [task.id for task in await verb(text="NEEDLE", sort="oldest")] == [low, high]
        assert len(await verb(since=before)) == 3
        assert await verb(until=before.isoformat()) == []
        assert [task.id for task in await verb(text="needle", limit=1, offset=1)] == [low]
        with pytest.raises(oq.InvalidTask, match="since"):
            await verb(since="yesterday")
        with pytest.raises(oq.InvalidTask, match="sort"):
            await verb(sort="random")


@everywhere()
async def test_a_summary_leaves_the_documents_out(queue):
    text = "the needle " * 10_000
    task_id = await queue.submit(prompt(text, metadata={"for": "me"}, **LATER))
    (row,) = await queue.list_summaries()
    assert (row.id, row.status, row.metadata) == (task_id, "pending", {"for": "me"})
    assert row.excerpt.startswith("the needle the")
    assert len(str(row.to_dict())) < 2000


@everywhere()
async def test_tasks_are_counted(queue):
    for number in range(3):
        await queue.submit(prompt(f"number {number}", model="ab"[number % 2], **LATER))
    count = await queue.count()
    assert (count.count, count.exact) == (3, True)
    assert (await queue.count(model="a", status=["pending", "failed"])).count == 2
    assert (await queue.count(text="number 1")).count == 1


@everywhere()
async def test_the_same_is_asked_of_many(queue):
    ids = [await queue.submit(prompt(f"number {number}", **LATER)) for number in range(4)]
    moved = await queue.bulk("priority", ids[:2], "high")
    assert (moved.matched, moved.done, moved.skipped) == (2, 2, 0)
    cancelled = await queue.bulk("cancel", status="pending", priority="high")
    assert (cancelled.matched, cancelled.done) == (2, 2)
    again = await queue.bulk("cancel", ids)
    assert (again.done, again.skipped, len(again.problems)) == (2, 2, 2)
    assert (await queue.bulk("delete", text="number")).done == 4
    assert (await queue.count()).count == 0
    for wrong in ({"action": "destroy"}, {"action": "priority", "ids": ids}):
        with pytest.raises(oq.InvalidTask):
            await queue.bulk(**wrong)
    with pytest.raises(oq.InvalidTask, match="either ids or a filter"):
        await queue.bulk("cancel", ids, status="pending")


@everywhere()
async def test_backends_are_listed(queue):
    (backend,) = await queue.backends()
    assert (backend.name, backend.up) == ("sim", True)


def test_a_client_tells_what_happened_lately():
    with served() as server, oq.Client(server.url) as client:
        client.run_batch([prompt()])
        stats = client.stats()
        assert (stats.interval, len(stats.points)) == (10, 90)
        assert sum(point.completed for point in stats.points) == 1
        assert client.stats("24h").interval == 300
        with pytest.raises(oq.InvalidTask, match="window"):
            client.stats("1y")

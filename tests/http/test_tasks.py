"""Every row of the tasks' table, over a real queue."""

from __future__ import annotations

import json

import httpx
import pytest
import trio
import trio.lowlevel
from trio.testing import wait_all_tasks_blocked

from oq.queue import listing
from oq.rules.ids import is_id
from tests.support.http import GENERATE, UNKNOWN, Api, api, live


async def test_submit_answers_id_status_and_location():
    async with api(paused=True) as oq:
        reply = await oq.post("/api/tasks", GENERATE)
        assert reply.status == 201
        assert set(reply.json) == {"task_id", "status"}
        assert is_id(reply.json["task_id"])
        assert reply.json["status"] == "pending"
        assert reply.headers["Location"] == f"/api/tasks/{reply.json['task_id']}"
        assert reply.headers["Content-Type"] == "application/json"


async def test_a_task_reads_back_as_it_was_sent():
    task = {
        "type": "chat",
        "model": "llama3",
        "payload": {"messages": [{"role": "user", "content": "hi ☃"}], "zebra": 1, "apple": [2]},
        "options": {"num_ctx": 4096, "seed": 1},
        "priority": "high",
        "max_retries": 7,
        "timeout": "1m30s",
        "metadata": {"who": "me"},
    }
    async with api(paused=True) as oq:
        task_id = await oq.submit(task)
        reply = await oq.get(f"/api/tasks/{task_id}")
        assert reply.status == 200
        shown = reply.json
        assert shown["priority"] == 10
        assert shown["timeout"] == 90
        assert shown["queue_position"] == 1
        assert list(shown["payload"]) == ["messages", "zebra", "apple"], "the order is kept"
        for field in ("type", "model", "payload", "options", "max_retries", "metadata"):
            assert shown[field] == task[field]
        assert "result" not in shown
        assert "error" not in shown


async def test_a_task_runs_and_shows_its_result():
    async with api() as oq:
        shown = await oq.ended(await oq.submit())
        assert shown["status"] == "completed"
        assert shown["result"]["done"] is True
        assert shown["result"]["response"]
        assert shown["usage"]["completion_tokens"] > 0
        (attempt,) = shown["attempts"]
        assert attempt["load"] >= 0
        assert attempt["waited_inside"] >= 0
        for field in ("created_at", "started_at", "completed_at"):
            assert shown[field].endswith("Z")


async def test_idempotency_key():
    async with api(paused=True) as oq:
        first = await oq.post("/api/tasks", GENERATE, Idempotency_Key="k1")
        again = await oq.post("/api/tasks", GENERATE, Idempotency_Key="k1")
        assert (first.status, again.status) == (201, 200)
        assert first.json == again.json
        assert again.headers["Location"] == first.headers["Location"]
        other = await oq.post("/api/tasks", {**GENERATE, "model": "other"}, Idempotency_Key="k1")
        assert other.status == 409
        assert "k1" in other.error
        assert len((await oq.get("/api/tasks")).json) == 1
        bad = await oq.post("/api/tasks", GENERATE, Idempotency_Key="x" * 256)
        assert bad.status == 400
        assert "Idempotency-Key" in bad.error


@pytest.mark.parametrize("ndjson", [False, True])
async def test_batch(ndjson: bool):
    tasks = [{**GENERATE, "model": f"m{index}"} for index in range(5)]
    body = "\n".join(map(json.dumps, tasks)) if ndjson else json.dumps(tasks)
    kind = "application/x-ndjson" if ndjson else "application/json"
    async with api(paused=True) as oq:
        reply = await oq.post("/api/tasks/batch", body.encode(), Content_Type=kind)
        assert reply.status == 201
        ids = reply.json["task_ids"]
        shown = {task["id"]: task["model"] for task in (await oq.get("/api/tasks")).json}
        assert [shown[task_id] for task_id in ids] == ["m0", "m1", "m2", "m3", "m4"]


async def test_a_bad_item_stores_nothing_and_every_one_is_named():
    bad_type = {**GENERATE, "type": "sing"}
    no_prompt = {**GENERATE, "payload": {}}
    async with api(paused=True) as oq:
        reply = await oq.post("/api/tasks/batch", [GENERATE, bad_type, GENERATE, no_prompt])
        assert reply.status == 400
        assert "item 1" in reply.error
        assert "sing" in reply.error
        assert "item 3" in reply.error
        assert "prompt" in reply.error
        assert "item 0" not in reply.error
        assert (await oq.get("/api/tasks")).json == []


async def test_listing_is_newest_first_and_filters():
    async with api(paused=True) as oq:
        low = await oq.submit({**GENERATE, "priority": "low"})
        chat = await oq.submit(
            {"type": "chat", "model": "c", "payload": {"messages": []}, "priority": 99}
        )
        gone = await oq.submit()
        assert (await oq.post(f"/api/tasks/{gone}/cancel")).status == 200

        async def ids(query: str) -> list[str]:
            reply = await oq.get(f"/api/tasks{query}")
            assert reply.status == 200, reply.body
            return [task["id"] for task in reply.json]

        assert await ids("") == [gone, chat, low]
        assert await ids("?status=pending") == [chat, low]
        assert await ids("?status=pending,cancelled") == [gone, chat, low]
        assert await ids("?status=pending&status=cancelled") == [gone, chat, low]
        assert await ids("?status=&type=&priority=&limit=&offset=") == [gone, chat, low]
        assert await ids("?type=chat") == [chat]
        assert await ids("?priority=low,99") == [chat, low]
        assert await ids("?model=c") == [chat]
        assert await ids("?limit=1&offset=1") == [chat]
        assert await ids(f"?after={chat}") == [low]


async def test_the_link_header_leads_through_all_pages():
    async with api(paused=True) as oq:
        made = [await oq.submit() for _ in range(5)]
        await oq.submit({**GENERATE, "model": "other"})
        seen: list[str] = []
        path = "/api/tasks?model=m&limit=2&offset=0"
        while path:
            reply = await oq.get(path)
            seen += [task["id"] for task in reply.json]
            link = reply.headers.get("Link", "")
            assert not link or link.endswith('>; rel="next"')
            path = link.partition("<")[2].partition(">")[0]
            assert not path or path.startswith("/api/tasks?model=m&limit=2&after=")
        assert seen == made[::-1]


async def pages(oq: Api, path: str) -> list[list[str]]:
    """The ids that each page shows, by following the links."""
    found = []
    while path:
        reply = await oq.get(path)
        assert reply.status == 200, reply.body
        found.append([task["id"] for task in reply.json])
        path = reply.headers.get("Link", "").partition("<")[2].partition(">")[0]
    return found


async def test_a_page_ends_once_it_is_big(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(listing, "PAGE_BYTES", 3000)
    async with api(paused=True) as oq:
        big = {**GENERATE, "payload": {"prompt": "x" * 2000}}
        made = [await oq.submit(big) for _ in range(4)][::-1]
        assert await pages(oq, "/api/tasks?limit=10000") == [made[:2], made[2:]]


async def test_what_was_generated_counts_for_the_size_of_a_page(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(listing, "PAGE_BYTES", 3000)
    long = {**GENERATE, "options": {"simulate": {"text": "x" * 3000}}}
    async with api() as oq:
        made = [(await oq.ended(await oq.submit(long)))["id"] for _ in range(2)][::-1]
        assert await pages(oq, "/api/tasks?status=completed") == [made[:1], made[1:]]


@pytest.mark.parametrize("query", ["?model=m", "?model=m&status=pending,running"])
async def test_a_page_looks_at_so_many_tasks(query: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(listing, "PAGE_ROWS", 3)
    async with api(paused=True) as oq:
        made = [await oq.submit() for _ in range(2)][::-1]
        for _ in range(4):
            await oq.submit({**GENERATE, "model": "other"})
        assert await pages(oq, f"/api/tasks{query}") == [[], made]
        assert await pages(oq, f"/api/tasks{query}&offset=0&limit=1") == [[], made[:1], made[1:]]
        assert await pages(oq, "/api/tasks?model=nobody") == [[], []]


async def test_a_search_reads_so_many_bytes(monkeypatch: pytest.MonkeyPatch):
    """With payloads of 16 MB the tasks that one request looks at would be 800 GB."""
    monkeypatch.setattr(listing, "SEARCH_BYTES", 3000)
    async with api(paused=True) as oq:
        big = {**GENERATE, "payload": {"prompt": "x" * 2000}}
        made = [await oq.submit(big) for _ in range(5)][::-1]
        assert await pages(oq, "/api/tasks?q=nowhere") == [[], [], []]
        assert await pages(oq, "/api/tasks?q=xxx") == [made[:2], made[2:4], made[4:]]
        assert (await oq.get("/api/tasks/count?q=xxx")).json == {"count": 2, "exact": False}
        assert await pages(oq, "/api/tasks?q=m") == [made], "the name of the model is enough"


async def test_an_offset_that_leads_too_far_says_what_to_do(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(listing, "PAGE_ROWS", 3)
    async with api(paused=True) as oq:
        made = [await oq.submit() for _ in range(5)][::-1]
        assert await pages(oq, "/api/tasks?offset=2") == [made[2:3], made[3:]]
        reply = await oq.get("/api/tasks?offset=4")
        assert reply.status == 400
        assert "offset: 4 is beyond the 3 tasks" in reply.error
        assert "after" in reply.error


async def test_waiting_for_a_task_returns_when_it_ends():
    async with api(paused=True) as oq, trio.open_nursery() as nursery:
        task_id = await oq.submit()
        shown = []

        async def wait() -> None:
            shown.append(await oq.ended(task_id))

        nursery.start_soon(wait)
        await wait_all_tasks_blocked(0.01)
        assert shown == []
        await oq.queue.resume()
        with trio.fail_after(5):
            while not shown:
                await trio.lowlevel.checkpoint()
        assert shown[0]["status"] == "completed"


async def test_waiting_ends_after_the_time_that_was_given(autojump_clock: trio.testing.MockClock):
    async with api(paused=True, server={"max_wait": 20}) as oq:
        task_id = await oq.submit()
        for wait, seconds in (("1m", 20), ("1500ms", 1.5), ("0", 0)):
            began = trio.current_time()
            reply = await oq.get(f"/api/tasks/{task_id}?wait={wait}")
            assert reply.json["status"] == "pending"
            assert trio.current_time() - began == pytest.approx(seconds)


async def test_waiting_ends_when_the_server_closes():
    async with api(paused=True) as oq:
        task_id = await oq.submit()
        replies = []

        async def wait() -> None:
            replies.append(await oq.get(f"/api/tasks/{task_id}?wait=5m"))

        with trio.fail_after(5):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(wait)
                await wait_all_tasks_blocked(0.01)
                oq.app.context.close()
                nursery.start_soon(wait)
        assert [(reply.status, reply.json["status"]) for reply in replies] == [(200, "pending")] * 2


async def test_cancel():
    async with api() as oq:
        running = await oq.running()
        assert (await oq.get(f"/api/tasks/{running}")).json["status"] == "running"
        reply = await oq.post(f"/api/tasks/{running}/cancel")
        assert (reply.status, reply.json) == (200, {"status": "ok"})
        assert (await oq.ended(running))["status"] == "cancelled"
        assert (await oq.post(f"/api/tasks/{running}/cancel")).status == 409


async def test_priority():
    async with api(paused=True) as oq:
        task_id = await oq.submit()
        for value, number in ((42, 42), ("critical", 15), ("7", 7)):
            reply = await oq.post(f"/api/tasks/{task_id}/priority", {"priority": value})
            assert (reply.status, reply.json) == (200, {"status": "ok"})
            assert (await oq.get(f"/api/tasks/{task_id}")).json["priority"] == number
        await oq.post(f"/api/tasks/{task_id}/cancel")
        assert (await oq.post(f"/api/tasks/{task_id}/priority", {"priority": 1})).status == 409


async def test_retry_and_delete():
    async with api(paused=True) as oq:
        task_id = await oq.submit()
        assert (await oq.post(f"/api/tasks/{task_id}/retry")).status == 409
        assert (await oq.call("DELETE", f"/api/tasks/{task_id}")).status == 409
        await oq.post(f"/api/tasks/{task_id}/cancel")
        assert (await oq.post(f"/api/tasks/{task_id}/retry")).json == {"status": "ok"}
        assert (await oq.get(f"/api/tasks/{task_id}")).json["status"] == "pending"
        await oq.post(f"/api/tasks/{task_id}/cancel")
        gone = await oq.call("DELETE", f"/api/tasks/{task_id}")
        assert (gone.status, gone.body) == (204, b"")
        assert (await oq.get(f"/api/tasks/{task_id}")).status == 404


@pytest.mark.parametrize("task_id", [UNKNOWN, "nonsense", "%00", "..", "0" * 500, "☃"])
async def test_an_unknown_id_is_not_found(task_id: str):
    async with api() as oq:
        calls = [
            ("GET", "", None),
            ("POST", "/cancel", None),
            ("POST", "/priority", {"priority": 1}),
            ("POST", "/retry", None),
            ("DELETE", "", None),
        ]
        for method, verb, body in calls:
            reply = await oq.call(method, f"/api/tasks/{task_id}{verb}", body)
            if reply.status == 307:  # `oq.http.gateway.redirects`: a path is cleaned first
                reply = await oq.call(method, reply.headers["location"], body)
            assert reply.status == 404, (method, verb)
            assert reply.error


async def test_the_calls_of_the_original_client():
    """What its Go client sends, and the fields that it reads."""
    async with live() as oq, httpx.AsyncClient(base_url=oq.url) as client:
        made = await client.post(
            "/api/tasks",
            json={
                "type": "chat",
                "model": "llama2",
                "payload": {
                    "messages": [{"role": "user", "content": "hi"}],
                    "system": "be brief",
                    "stream": False,
                },
                "priority": 10,
                "options": {"temperature": 0.1},
            },
        )
        assert made.status_code == 201
        task_id = made.json()["task_id"]
        listed = (await client.get("/api/tasks", params={"limit": 10, "status": ""})).json()
        assert isinstance(listed, list)
        assert listed[0]["id"] == task_id
        one = (await client.get(f"/api/tasks/{task_id}")).json()
        assert one["priority"] == 10
        changed = await client.post(f"/api/tasks/{task_id}/priority", json={"priority": 15})
        assert changed.status_code in (200, 409), "409 if it has started by now"
        await client.get(f"/api/tasks/{task_id}", params={"wait": "10s"})
        status = (await client.get("/api/status")).json()
        assert list(status)[:9] == [
            "pending_tasks",
            "running_tasks",
            "completed_tasks",
            "failed_tasks",
            "cancelled_tasks",
            "total_tasks",
            "queues_by_priority",
            "workers_active",
            "workers_idle",
        ]
        assert status["completed_tasks"] == 1
        assert (await client.post(f"/api/tasks/{task_id}/cancel")).status_code == 409

"""When a task will start, over HTTP: in its JSON, in headers, and as a limit of its client."""

from __future__ import annotations

from datetime import datetime

import pytest

from oq.words.events import EventType
from tests.support.http import GENERATE, Api, api

SLOW = {**GENERATE, "options": {"simulate": {"delay": 0.02}}}
HANGS = {**GENERATE, "priority": "critical", "options": {"simulate": {"fault": "hang"}}}
ONE_AT_ONCE = {"max_workers": 1, "drain_timeout": "10ms"}


async def busy(oq: Api, waiting: int = 20) -> list[str]:
    """It has learnt how long tasks take; one runs for ever, and so many wait behind it."""
    for task_id in (await oq.post("/api/tasks/batch", [SLOW] * 40)).json["task_ids"]:
        await oq.ended(task_id)
    with oq.queue.subscribe(types={EventType.TASK_STARTED}) as events:
        await oq.submit(HANGS)
        await anext(events)
    return (await oq.post("/api/tasks/batch", [SLOW] * waiting)).json["task_ids"]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


async def test_a_task_that_waits_has_its_eta():
    async with api(queue=ONE_AT_ONCE) as oq:
        ids = await busy(oq)
        reply = await oq.get(f"/api/tasks/{ids[-1]}")
        eta = reply.json["eta"]
        for times in (eta["starts"], eta["ends"]):
            assert list(times) == ["p10", "p50", "p90"]
            assert at(times["p10"]) <= at(times["p50"]) <= at(times["p90"])
        seconds, *more = reply.headers["X-OQ-ETA"].split(";")
        assert float(seconds) > 0
        assert [each.partition("=")[0] for each in more] == ["p10", "p90"]


async def test_listings_have_it_too():
    async with api(queue=ONE_AT_ONCE) as oq:
        await busy(oq)
        for view in ("full", "summary"):
            listed = (await oq.get(f"/api/tasks?status=pending&view={view}")).json
            assert len(listed) == 20
            assert all("eta" in task for task in listed)


async def test_a_submit_answers_when_the_task_starts():
    async with api(queue=ONE_AT_ONCE) as oq:
        await busy(oq)
        assert float((await oq.post("/api/tasks", SLOW)).headers["X-OQ-ETA"].split(";")[0]) > 0
    async with api(paused=True) as oq:
        assert "X-OQ-ETA" not in (await oq.post("/api/tasks", SLOW)).headers


@pytest.mark.parametrize("path", ["/api/tasks", "/api/tasks/batch"])
async def test_what_would_wait_for_too_long_is_503_with_retry_after(path: str):
    async with api(queue=ONE_AT_ONCE) as oq:
        await busy(oq, waiting=200)
        body = [SLOW] if path.endswith("batch") else SLOW
        reply = await oq.post(path, body, X_OQ_Max_Wait="100ms")
        assert reply.status == 503
        assert "s, and may wait for 0.1 s (X-OQ-Max-Wait); try again in" in reply.error
        assert int(reply.headers["Retry-After"]) >= 1
        assert (await oq.post(path, body, X_OQ_Max_Wait="1h")).status == 201


async def test_a_limit_that_is_none_is_400():
    async with api() as oq:
        reply = await oq.post("/api/tasks", SLOW, X_OQ_Max_Wait="soon")
        assert reply.status == 400
        assert reply.error.startswith("X-OQ-Max-Wait: ")


async def test_the_status_says_when_the_queue_is_empty():
    async with api(queue=ONE_AT_ONCE) as oq:
        assert (await oq.get("/api/status")).json["empty_at"] is None
        await busy(oq)
        assert at((await oq.get("/api/status")).json["empty_at"]) > oq.queue.raw.now()

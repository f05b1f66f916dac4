"""The parameters of a listing over HTTP: orders, texts, times, views and counts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest

from tests.support.http import GENERATE, Api, api


async def ids(oq: Api, query: str) -> list[str]:
    """The ids of a listing, over all its pages."""
    found: list[str] = []
    path = f"/api/tasks?{query}"
    while path:
        reply = await oq.get(path)
        assert reply.status == 200, reply.body
        found += [task["id"] for task in reply.json]
        path = reply.headers.get("Link", "").partition("<")[2].partition(">")[0]
    return found


async def test_sort():
    async with api(paused=True) as oq:
        a, b, c = [await oq.submit({**GENERATE, "priority": level}) for level in (1, 10, 5)]
        assert await ids(oq, "sort=newest") == [c, b, a]
        assert await ids(oq, "sort=oldest&limit=2") == [a, b, c]
        assert await ids(oq, "sort=queue&limit=2") == [b, c, a]
        assert (await oq.get("/api/tasks?sort=queue")).json[0]["queue_position"] == 1


async def test_text():
    async with api(paused=True) as oq:
        wanted = await oq.submit({**GENERATE, "metadata": {"team": "Blå & Gul"}})
        await oq.submit()
        assert await ids(oq, f"q={quote('blå & g')}") == [wanted]
        assert await ids(oq, "q=") == await ids(oq, "")


async def test_times():
    async with api(paused=True) as oq:
        task_id = await oq.submit()
        now = datetime.now(UTC)
        before, after = now - timedelta(minutes=1), now + timedelta(minutes=1)
        for since, until, found in (
            (before, after, [task_id]),
            (after, after, []),
            (before, before, []),
        ):
            query = f"since={since.isoformat()}&until={quote(until.isoformat())}"
            assert await ids(oq, query) == found


async def test_a_summary_leaves_the_documents_out():
    async with api() as oq:
        await oq.ended(await oq.submit({**GENERATE, "options": {"seed": 1}}))
        (line,) = (await oq.get("/api/tasks?view=summary")).json
        (whole,) = (await oq.get("/api/tasks?view=full")).json
        assert line["excerpt"] == "hello"
        assert set(whole) - set(line) == {"payload", "options", "result"}
        assert {**whole, **line} == {**whole, "excerpt": "hello"}


async def test_count():
    async with api(paused=True) as oq:
        for model in ("a", "a", "b"):
            await oq.submit({**GENERATE, "model": model})
        assert (await oq.get("/api/tasks/count")).json == {"count": 3, "exact": True}
        assert (await oq.get("/api/tasks/count?status=failed")).json["count"] == 0
        assert (await oq.get("/api/tasks/count?model=a&q=hello")).json["count"] == 2


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("sort=random", "sort"),
        ("view=all", "view"),
        ("since=yesterday", "since"),
        ("until=2026-01-31T12:00:00", "until"),
        (f"q={'x' * 201}", "q"),
        ("q=a&q=b", "q"),
        ("colour=red", "colour"),
    ],
)
async def test_what_makes_no_sense_is_refused_by_name(query: str, field: str):
    async with api() as oq:
        reply = await oq.get(f"/api/tasks?{query}")
        assert reply.status == 400
        assert reply.error.startswith(f"{field}: ")


async def test_a_count_has_no_order():
    async with api() as oq:
        reply = await oq.get("/api/tasks/count?sort=oldest")
        assert reply.status == 400

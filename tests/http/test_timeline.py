"""What the backends did lately: what ran, in lanes, and when one was down."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import trio.testing

from tests.support.http import GENERATE, HANG, Api, api


async def timeline(oq: Api) -> dict[str, Any]:
    answer = (await oq.get("/api/backends/timeline")).json
    assert datetime.fromisoformat(answer["since"]) < datetime.fromisoformat(answer["now"])
    [backend] = answer["backends"]
    assert backend["name"] == "sim"
    return backend


async def test_nothing_has_run_yet():
    async with api(paused=True) as oq:
        await oq.submit()
        found = await timeline(oq)
        assert (found["attempts"], found["spans"]) == ([], [])


AT_ONCE = {"drain_timeout": 0}
"""What hangs is not waited for at the end."""


async def test_attempts_say_what_ran_when_and_how_it_ended():
    async with api(queue=AT_ONCE, retry_config={"initial_delay": "1h", "max_delay": "1h"}) as oq:
        done = await oq.submit()
        await oq.ended(done)
        refused = await oq.submit({**GENERATE, "options": {"simulate": {"status": 400}}})
        await oq.ended(refused)
        with oq.queue.subscribe(types={"task_retrying"}) as events:
            cut = await oq.submit({**GENERATE, "options": {"simulate": {"fault": "cut"}}})
            await anext(events)
        cancelled = await oq.running(HANG)
        await oq.post(f"/api/tasks/{cancelled}/cancel")
        runs = await oq.running(HANG)
        attempts = (await timeline(oq))["attempts"]
        ends = [(one["task_id"], one.get("ended")) for one in attempts]
        assert ends == [
            (done, "completed"),
            (refused, "failed"),
            (cut, "failed"),
            (cancelled, "cancelled"),
            (runs, None),
        ]
        assert {one["model"] for one in attempts} == {GENERATE["model"]}
        assert {one["lane"] for one in attempts} == {0}
        assert "ended_at" not in attempts[-1]
        first = attempts[0]
        assert first["started_at"] <= first["first_token_at"] <= first["ended_at"]


async def test_what_runs_at_the_same_time_has_a_lane_each():
    async with api(queue=AT_ONCE) as oq:
        ids = [await oq.running(HANG) for _ in range(3)]
        assert [one["lane"] for one in (await timeline(oq))["attempts"]] == [0, 1, 2]
        await oq.post(f"/api/tasks/{ids[1]}/cancel")
        await oq.running(HANG)
        assert [one["lane"] for one in (await timeline(oq))["attempts"]] == [0, 1, 2, 1]


async def test_a_backend_that_is_down_says_since_when_and_until_when():
    async with api(queue={"probe_interval": 0.01}) as oq:
        backend = oq.queue._core.by_name["sim"]
        backend.down = "it is being moved"
        oq.queue._core.tell_down("sim", backend.down)
        await trio.testing.wait_all_tasks_blocked()
        waits = await oq.submit()
        [span] = (await timeline(oq))["spans"]
        assert span["kind"] == "down"
        assert "it is being moved" in span["reason"]
        assert "until" not in span
        backend.down = None
        await oq.ended(waits)
        [span] = (await timeline(oq))["spans"]
        assert span["since"] < span["until"]

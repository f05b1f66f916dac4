"""Models over HTTP: their tasks, their figures, and the pause of one of them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.http import GENERATE, HANG, Api, api


def of(model: str) -> dict[str, Any]:
    return {**GENERATE, "model": model}


async def rows(oq: Api) -> dict[str | None, dict[str, Any]]:
    return {row["model"]: row for row in (await oq.get("/api/models")).json["models"]}


async def test_models_have_their_tasks_and_figures():
    async with api(queue={"drain_timeout": 0}) as oq:
        await oq.running({**HANG, "model": "a:latest"})
        await oq.ended(await oq.submit(of("b")))
        refused = {**of("b"), "options": {"simulate": {"status": 400, "error": "no"}}}
        await oq.ended(await oq.submit(refused))
        await oq.post("/api/queue/pause")
        await oq.submit(of("a"))
        await oq.submit({**of("a"), "run_at": "2099-01-01T00:00:00Z"})
        found = await rows(oq)
        assert found.keys() == {"a", "b"}
        assert (found["a"]["running"], found["a"]["waiting"]) == (1, 2)
        assert (found["b"]["completed"], found["b"]["failed"]) == (1, 1)
        assert found["b"]["run_p95"] > 0
        assert sum(each or 0 for each in found["b"]["tokens"]) == 16
        assert found["b"]["tokens_per_second"] > 0
        day = (await oq.get("/api/models?window=24h")).json
        assert (day["interval"], len(day["models"][0]["tokens"])) == (300, 288)
        assert (await oq.get("/api/models?window=1y")).status == 400


async def test_metrics_say_what_each_model_does():
    async with api(queue={"drain_timeout": 0}) as oq:
        await oq.running({**HANG, "model": "a:latest"})
        await oq.post("/api/models/pause", {"model": "b"})
        await oq.submit(of("b"))
        shown = (await oq.get("/metrics")).body.decode()
        assert 'oq_model_tasks{model="a",status="running"} 1.0' in shown
        assert 'oq_model_tasks{model="b",status="pending"} 1.0' in shown
        assert 'oq_model_paused{model="b"} 1.0' in shown
        await oq.post("/api/models/resume", {"model": "b:latest"})
        assert 'oq_model_paused{model="b"}' not in (await oq.get("/metrics")).body.decode()


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"model": ""}, 400, "is not a name of 1 to 256"),
        ({"model": "x" * 257}, 400, "is not a name of 1 to 256"),
        ({"model": "a\nb"}, 400, "is not a name of 1 to 256"),
        ({"model": 1}, 400, "model"),
        ({}, 400, "model"),
        ({"model": "a", "all": True}, 400, "all"),
        (b"{", 400, ""),
    ],
)
@pytest.mark.parametrize("verb", ["pause", "resume"])
async def test_what_is_no_model_is_refused(verb, body, status, said):
    async with api() as oq:
        reply = await oq.post(f"/api/models/{verb}", body)
        assert reply.status == status
        assert said in reply.error


async def test_so_many_models_can_be_paused():
    async with api() as oq:
        for number in range(100):
            assert (await oq.post("/api/models/pause", {"model": f"m{number}"})).status == 200
        reply = await oq.post("/api/models/pause", {"model": "one more"})
        assert (reply.status, reply.error) == (409, "100 models are paused already; resume some")
        assert (await oq.post("/api/models/pause", {"model": "m1:latest"})).status == 200
        assert (await oq.post("/api/models/resume", {"model": "m2"})).status == 200
        assert (await oq.post("/api/models/pause", {"model": "one more"})).status == 200
        assert len((await oq.get("/api/status")).json["paused_models"]) == 100

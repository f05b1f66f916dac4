"""A server that takes a call for one model and never answers it, while it serves another: what is
said of it, and what becomes of the task. On sockets, with probes that are answered.
"""

from __future__ import annotations

from typing import Any

import pytest
import trio

from oq.backends.simulated import Script, Simulator
from tests.support.gateway import Site, site

AFTER = {"silence": 0.05, "wedged_after": 0.3}
QUICK = Script(tokens=3)
SILENT = Script(delay=60)


def task(model: str, **fields: Any) -> dict[str, Any]:
    return {"type": "generate", "model": model, "payload": {"prompt": "hello"}, **fields}


async def submit(here: Site, model: str, **fields: Any) -> str:
    answer = await here.oq.post("/api/tasks", json=task(model, **fields))
    return answer.json()["task_id"]


async def ended(here: Site, task_id: str) -> dict[str, Any]:
    return (await here.oq.get(f"/api/tasks/{task_id}", params={"wait": "10s"})).json()


@pytest.mark.slow
async def test_it_is_told_of_and_its_tasks_are_done_when_it_answers_again():
    simulator = Simulator(QUICK, models=["alpha", "beta"], parallel=1, max_models=2)
    async with site(simulator, health=AFTER) as here:
        await ended(here, await submit(here, "beta"))
        simulator.push(SILENT)
        runs = await submit(here, "beta", timeout=1.5)
        with trio.fail_after(1):
            while not simulator.asked("/api/generate")[1:]:
                await trio.lowlevel.checkpoint()
        with trio.fail_after(5):
            while (held := here.queue.status().backends[0].held) is None:
                await trio.lowlevel.checkpoint()
        assert "its tasks produce nothing (of beta)" in held
        [backend] = (await here.oq.get("/api/backends")).json()
        assert (backend["up"], backend["held"]) == (True, held)
        waits = await submit(here, "beta")
        said = (await here.oq.get(f"/api/tasks/{waits}")).json()["waits_for"]
        assert "its tasks produce nothing" in said
        assert simulator.asked("/api/version"), "it was asked whether it lives"
        assert (await ended(here, await submit(here, "alpha")))["status"] == "completed"

        for task_id in (runs, waits):
            done = await ended(here, task_id)
            assert (done["status"], done["retry_count"]) == ("completed", 0)
        [backend] = (await here.oq.get("/api/backends")).json()
        assert "held" not in backend
        [backend] = (await here.oq.get("/api/backends/timeline")).json()["backends"]
        [wedged] = [span for span in backend["spans"] if span["kind"] == "wedged"]
        assert wedged["since"] < wedged["until"]

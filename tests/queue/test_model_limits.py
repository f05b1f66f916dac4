"""Limits of models on a queue before a simulated machine. The times are those of the mock clock:
each task takes a second.
"""

from __future__ import annotations

import pytest

from tests.queue.test_fleet import all_of, box, fleet, submit, waits_for

LIMITS = {"box": {"max_concurrency": 4, "model_limits": {"big:*": 1, "small": 2}}}


@pytest.mark.parametrize("affinity", [False, True])
async def test_each_model_has_so_many_at_once_and_the_others_have_the_rest(
    affinity, autojump_clock
):
    machine = box("box", "big:70b", "small", "other", parallel=8)
    async with fleet(machine, backends=LIMITS, scheduler={"affinity": affinity}) as queue:
        await all_of(queue, await submit(queue, "big:70b", "small", "other"))  # they are in memory
        big = await submit(queue, *["big:70b"] * 4, priority="high")
        small = await submit(queue, *["small:latest", "small"] * 2)
        other = await submit(queue, *["other"] * 2, priority="low")
        said = await waits_for(queue, big[1])
        assert said == "the only slot for big:70b on box is taken (backends[].model_limits)"
        [backend] = queue.status().backends
        shown = {one.model.removesuffix(":latest"): one for one in backend.slots}
        assert {name: (one.slots, one.source, one.running) for name, one in shown.items()} == {
            "big:70b": (1, "set", 1), "small": (2, "set", 2), "other": (4, "set", 1),
        }  # fmt: skip
        assert (backend.running, backend.max_concurrency) == (4, 4)
        tasks = await all_of(queue, [*big, *small, *other])
        began = [(task.started_at - tasks[0].started_at).total_seconds() for task in tasks]
        assert [round(time) for time in began] == [0, 1, 2, 3, 0, 0, 1, 1, 0, 1]

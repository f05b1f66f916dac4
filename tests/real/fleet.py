"""Two servers with different models behind one oq: each task reaches the one that has its model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import trio

from tests.real.lab import Lab
from tests.real.rows import Row, told

TASKS = 6
AWAY = 6.0
"""Seconds that one of them stays away."""
WITHIN = 120.0


async def fleet(lab: Lab) -> list[Row]:
    """Of the two, one goes down while tasks for it wait, and comes back."""
    async with (
        lab.serving(alias="alpha") as one,
        lab.serving(alias="beta") as two,
        lab.through(
            one,
            backends=[
                {"name": "one", "kind": lab.box.kind, "url": one.url},
                {"name": "two", "kind": lab.box.kind, "url": two.url},
            ],
        ) as oq,
    ):
        ids = [await oq.submit(model, lab.tokens // 4) for model in ("alpha", "beta") * TASKS]
        up = await oq.ended(ids, WITHIN)
        two.kill()
        waiting = [await oq.submit("beta", lab.tokens // 4) for _ in range(TASKS)]
        others = await oq.ended([await oq.submit("alpha", lab.tokens // 4)], WITHIN)
        said = [await oq.task(each) for each in waiting]
        await trio.sleep(AWAY)
        await two.start()
        back = await oq.ended(waiting, WITHIN)
    still = {task["status"] for task in said} == {"pending"}
    why = said[-1].get("waits_for") or ""
    return [
        _row("two servers, a model each: tasks on the one that has theirs", up, None),
        _row("one is killed: tasks for the other", others, "one"),
        told("those for the killed one wait, and say why", "", why, "two is down", still),
        _row(f"it is back after {AWAY:.0f} s: its tasks", back, "two"),
    ]


def _row(what: str, tasks: Sequence[dict[str, Any]], on: str | None) -> Row:
    where = {"alpha": "one", "beta": "two"}
    right = sum(
        task["status"] == "completed"
        and task["attempts"][-1]["backend"] == (on or where[task["model"]])
        and task["retry_count"] == 0
        for task in tasks
    )
    found = f"{right} of {len(tasks)}, no retry"
    return told(what, "", found, "all, no retry", right == len(tasks))

"""Processes that are killed: the one that runs the model, Ollama, and oq itself."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise
from typing import Any

import trio

from tests.real.lab import Lab, Oq
from tests.real.processes import Server, kill
from tests.real.rows import Row, told

TASKS = 8
WITHIN = 240.0
AWAY = 60.0
"""Seconds that Ollama stays away."""


async def deaths(lab: Lab) -> list[Row]:
    """Each in the middle of a task, with others that wait."""
    return [await _runner(lab), await _ollama(lab), await _oq(lab)]


async def _runner(lab: Lab) -> Row:
    async with lab.serving() as server, lab.through(server) as oq:
        ids = await _begun(lab, oq)
        for pid in server.children():
            kill(pid)
        return _row("the process that runs the model is killed", await oq.ended(ids, WITHIN))


async def _ollama(lab: Lab) -> Row:
    async with lab.serving() as server, lab.through(server) as oq:
        ids = await _begun(lab, oq)
        await _killed(server)
        tasks = await oq.ended(ids, WITHIN)
    return _row(f"Ollama is killed, and back after {AWAY:.0f} s", tasks)


async def _killed(server: Server) -> None:
    """kill -9, which leaves the process that runs the model behind; then start it again."""
    left_behind = server.children()
    server.kill()
    for pid in left_behind:
        kill(pid)
    await trio.sleep(AWAY)
    await server.start()


async def _oq(lab: Lab) -> Row:
    async with lab.serving() as server, lab.through(server) as oq:
        ids = await _begun(lab, oq)
        oq.server.kill()
        await oq.server.start()
        tasks = await oq.ended(ids, WITHIN)
    return _row("oq is killed, and started again", tasks)


async def _begun(lab: Lab, oq: Oq) -> list[str]:
    """Submit tasks; return when the second of them generates."""
    ids = [await oq.submit("a", lab.tokens) for _ in range(TASKS)]
    await oq.task(ids[0], wait="60s")
    await oq.generates(ids[1])
    return ids


def _row(what: str, tasks: list[dict[str, Any]]) -> Row:
    completed = sum(task["status"] == "completed" for task in tasks)
    twice = sum(map(_overlaps, tasks))
    attempts = sum(len(task.get("attempts", ())) for task in tasks)
    return told(
        f"{what}: {TASKS} tasks",
        "",
        f"{completed} completed in {attempts} attempts, {twice} ran twice at once",
        "all, none",
        completed == TASKS and not twice,
    )


def _overlaps(task: dict[str, Any]) -> bool:
    """Whether an attempt of it began before the one before it had ended."""
    attempts = task.get("attempts", [])
    return any(
        datetime.fromisoformat(after["started_at"]) < datetime.fromisoformat(before["ended_at"])
        for before, after in pairwise(attempts)
    )

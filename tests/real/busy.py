"""A server whose line is full: nobody may be refused, and nobody may lose a retry."""

from __future__ import annotations

from functools import partial
from typing import Any

from tests.real.calls import Call, Caller
from tests.real.lab import Lab, Oq
from tests.real.loads import at_once
from tests.real.rows import Row, told
from tests.real.swaps import SHORT

MODELS = ("a", "b", "c") * 3
WITHIN = 120.0
PATHS = ("/api/chat", "/v1/chat/completions")


async def full_line(lab: Lab) -> list[Row]:
    """OLLAMA_MAX_QUEUE=1 and nine calls for three models at once, each of three ways."""
    rows = []
    async with lab.serving(MAX_QUEUE="1", **lab.box.one_model) as server:
        for path in PATHS:
            async with lab.direct(server) as calls:
                direct = await _nine(calls, path)
            async with lab.through(server) as oq:
                through = await _nine(oq.calls, path)
                tasks = await oq.tasks(call for call in through if call.task)
            rows.append(_row(path, _answers(direct), _answers(through), _retries(tasks)))
        async with lab.through(server) as oq:
            answers, retries = await _native(oq)
        rows.append(_row("oq's own API", "", answers, retries))
    return rows


def _row(way: str, direct: str, answers: str, retries: int) -> Row:
    return told(
        f"a line for one, 9 calls for 3 models at once: {way}",
        direct,
        f"{answers}, {retries} retries",
        "9 answered, 0 retries",
        answers == "9 answered" and retries == 0,
    )


async def _nine(calls: Caller, path: str) -> list[Call]:
    return await at_once((partial(calls.call, model, SHORT, path=path) for model in MODELS), 0)


def _answers(calls: list[Call]) -> str:
    """How many were answered, and what the others got."""
    others = sorted(str(call.status) for call in calls if not call.answered)
    answered = len(calls) - len(others)
    return f"{answered} answered" + (f", {len(others)} got {' '.join(others)}" if others else "")


def _retries(tasks: list[dict[str, Any]]) -> int:
    """Retries that were spent, of all of them."""
    return sum(int(task["retry_count"]) for task in tasks)


async def _native(oq: Oq) -> tuple[str, int]:
    ids = [await oq.submit(model, SHORT) for model in MODELS]
    tasks = await oq.ended(ids, WITHIN)
    completed = sum(task["status"] == "completed" for task in tasks)
    return f"{completed} answered", _retries(tasks)

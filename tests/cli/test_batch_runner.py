"""A batch under way, with a server that answers as the test says."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

import oq
from oq.cli.batch.lines import Terms, read
from oq.cli.batch.runner import Bounds, Runner
from oq.client.failures import ServerFault

FAULT = ServerFault("http://oq answered 500: this record cannot be read; see the log")


class Server:
    """Raises these errors for the tasks of these models, when they are submitted or asked for."""

    def __init__(self, submits: dict[str, Exception], results: dict[str, Exception]) -> None:
        self.submits = submits
        self.results = results

    async def submit(self, task: oq.NewTask, *, idempotency_key: str) -> str:
        if task.model in self.submits:
            raise self.submits[task.model]
        return task.model

    async def result(self, task_id: str) -> dict[str, Any]:
        if task_id in self.results:
            raise self.results[task_id]
        return {"response": task_id}


class Quiet:
    def ended(self, completed: bool) -> None: ...
    def waiting(self, why: str) -> None: ...


def run_of(server: Server, written: list[dict[str, Any]]) -> Runner:
    bounds = Bounds(window=2, patience=0)
    return Runner(server, written.append, Quiet(), bounds, retry_failed=False)  # type: ignore[arg-type]


def lines(*models: str) -> Any:
    tasks = ({"type": "generate", "model": one, "payload": {"prompt": "p"}} for one in models)
    text = "".join(json.dumps(task | {"custom_id": task["model"]}) + "\n" for task in tasks)
    return read(io.BytesIO(text.encode()), Terms("run"))


async def test_what_the_server_fails_at_is_that_lines_own_error(autojump_clock):
    written: list[dict[str, Any]] = []
    lost = oq.StoreCorrupt("task c has completed, but its result cannot be read")
    server = Server({"a": FAULT}, {"b": FAULT, "c": lost})
    runner = run_of(server, written)
    await runner.run(lines("a", "b", "c", "d"))
    codes = {one["custom_id"]: one["error"] and one["error"]["code"] for one in written}
    assert codes == {"a": "server_error", "b": "server_error", "c": "damaged", "d": None}
    assert runner.failed == 3


async def test_a_server_that_stays_away_ends_the_run(autojump_clock):
    runner = run_of(Server({"a": oq.Unavailable("away")}, {}), [])
    with pytest.raises(BaseExceptionGroup) as ended:
        await runner.run(lines("a", "b"))
    assert ended.group_contains(oq.Unavailable)

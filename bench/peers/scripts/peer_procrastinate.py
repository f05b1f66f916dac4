"""procrastinate on PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from procrastinate import App, PsycopgConnector

from bench.peers.scripts.job import BIN, TASK, address
from bench.peers.scripts.marks import note

VERSION = f"procrastinate {version('procrastinate')}"
WORKERS = "1 process of 32 tasks"
app = App(connector=PsycopgConnector(conninfo=address()))


@app.task(name="job")
async def job(index: int, task: dict[str, Any]) -> None:
    note(index)


def workers() -> list[list[str]]:
    program = [str(BIN / "procrastinate"), "--app", "bench.peers.scripts.peer_procrastinate.app"]
    return [[*program, "worker", "--concurrency", "32"]]


async def setup() -> None:
    await app.open_async()
    await app.schema_manager.apply_schema_async()


async def close() -> None:
    await app.close_async()


async def enqueue(index: int) -> None:
    await job.defer_async(index=index, task=TASK)


async def bulk(indices: Sequence[int]) -> None:
    await job.batch_defer_async(*({"index": index, "task": TASK} for index in indices))


async def clear() -> None:
    await app.connector.execute_query_async("TRUNCATE procrastinate_jobs CASCADE")

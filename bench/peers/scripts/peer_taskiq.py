"""taskiq on a Redis stream, the broker of taskiq-redis whose tasks survive their worker."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from redis.asyncio import Redis
from taskiq_redis import RedisStreamBroker

from bench.peers.scripts.job import BIN, TASK, address
from bench.peers.scripts.marks import note

VERSION = f"taskiq {version('taskiq')}, taskiq-redis {version('taskiq-redis')}"
WORKERS = "1 process of 100 tasks"
broker = RedisStreamBroker(url=address())


@broker.task
async def job(index: int, task: dict[str, Any]) -> None:
    note(index)


def workers() -> list[list[str]]:
    program = [str(BIN / "taskiq"), "worker", "bench.peers.scripts.peer_taskiq:broker"]
    return [[*program, "--workers", "1", "--max-async-tasks", "100", "--log-level", "WARNING"]]


async def setup() -> None:
    await broker.startup()


async def close() -> None:
    await broker.shutdown()


async def enqueue(index: int) -> None:
    await job.kiq(index, TASK)


async def clear() -> None:
    async with Redis.from_url(address()) as redis:
        await redis.xtrim(broker.queue_name, 0, approximate=False)

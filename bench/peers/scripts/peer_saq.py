"""saq on Redis."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from saq import Queue

from bench.peers.scripts.job import BIN, TASK, address
from bench.peers.scripts.marks import note

VERSION = f"saq {version('saq')}"
WORKERS = "1 process of 64 tasks"
queue = Queue.from_url(address(), name="peers")


async def job(context: Any, *, index: int, task: dict[str, Any]) -> None:
    note(index)


settings = {"queue": queue, "functions": [job], "concurrency": 64}


def workers() -> list[list[str]]:
    return [[str(BIN / "saq"), "bench.peers.scripts.peer_saq.settings", "--quiet"]]


async def setup() -> None:
    await queue.connect()


async def close() -> None:
    await queue.disconnect()


async def enqueue(index: int) -> None:
    await queue.enqueue("job", index=index, task=TASK, ttl=-1)


async def clear() -> None:
    await queue.redis.flushdb()

"""rq, with workers that run the job themselves instead of forking for each."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from redis import Redis
from rq import Queue

from bench.peers.scripts.job import BIN, TASK, address
from bench.peers.scripts.marks import note

VERSION = f"rq {version('rq')}"
WORKERS = "2 SimpleWorkers"
queue = Queue("peers", connection=Redis.from_url(address()))


def job(index: int, task: dict[str, Any]) -> None:
    note(index)


def workers() -> list[list[str]]:
    one = [str(BIN / "rq"), "worker", "-q", "-u", address(), "-w", "rq.worker.SimpleWorker"]
    return [[*one, "peers"]] * 2


def enqueue(index: int) -> None:
    queue.enqueue(job, index, TASK, result_ttl=0)


def bulk(indices: Sequence[int]) -> None:
    queue.enqueue_many([Queue.prepare_data(job, (index, TASK), result_ttl=0) for index in indices])


def clear() -> None:
    queue.connection.flushdb()

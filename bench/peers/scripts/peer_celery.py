"""Celery on Redis, without stored results."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from celery import Celery

from bench.peers.scripts.job import BIN, TASK, address
from bench.peers.scripts.marks import note

VERSION = f"celery {version('celery')}"
WORKERS = "prefork, 2 processes, prefetch 64"
app = Celery("bench.peers.scripts.peer_celery", broker=address())
app.conf.update(
    task_ignore_result=True,
    worker_prefetch_multiplier=64,
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
)


@app.task
def job(index: int, task: dict[str, Any]) -> None:
    note(index)


def workers() -> list[list[str]]:
    alone = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    program = [str(BIN / "celery"), "-A", "bench.peers.scripts.peer_celery", "worker"]
    return [[*program, "-l", "error", "-P", "prefork", "-c", "2", *alone]]


def enqueue(index: int) -> None:
    job.delay(index, TASK)


def clear() -> None:
    app.control.purge()

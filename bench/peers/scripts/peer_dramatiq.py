"""dramatiq on Redis, with its usual middleware but for Prometheus."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from bench.peers.scripts.job import BIN, TASK, address
from bench.peers.scripts.marks import note

VERSION = f"dramatiq {version('dramatiq')}"
WORKERS = "2 processes of 8 threads"
broker = RedisBroker(url=address())
dramatiq.set_broker(broker)


@dramatiq.actor
def job(index: int, task: dict[str, Any]) -> None:
    note(index)


def workers() -> list[list[str]]:
    return [[str(BIN / "dramatiq"), "bench.peers.scripts.peer_dramatiq", "-p", "2", "-t", "8"]]


def enqueue(index: int) -> None:
    job.send(index, TASK)


def clear() -> None:
    broker.flush_all()

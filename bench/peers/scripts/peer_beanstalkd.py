"""beanstalkd, by greenstalk: jobs as JSON, each reserved, run and deleted."""

from __future__ import annotations

import json
import sys
import threading
from importlib.metadata import version
from typing import Any

import greenstalk

from bench.peers.scripts.job import TASK, address
from bench.peers.scripts.marks import note

VERSION = f"greenstalk {version('greenstalk')}"
WORKERS = "1 process"
_own = threading.local()


def client() -> Any:
    """A connection a thread: it takes one call at a time."""
    if not hasattr(_own, "client"):
        host, _, port = address().rpartition(":")
        _own.client = greenstalk.Client((host, int(port)))
    return _own.client


def workers() -> list[list[str]]:
    return [[sys.executable, "-m", "bench.peers.scripts.peer_beanstalkd"]]


def enqueue(index: int) -> None:
    client().put(json.dumps([index, TASK]))


def clear() -> None:
    while client().stats_tube("default")["current-jobs-ready"]:
        client().delete(client().reserve())


def work() -> None:
    server = client()
    while True:
        job = server.reserve()
        index, _ = json.loads(job.body)
        note(index)
        server.delete(job)


if __name__ == "__main__":
    work()

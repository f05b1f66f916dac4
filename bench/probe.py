"""What a running `oq serve` is like at a moment, seen from a process that does nothing else.

`python -m bench.probe URL PID DIRECTORY` answers each line of its input with one sample as JSON.
In a process of its own, because the load's own work would be part of each latency otherwise.
"""

from __future__ import annotations

import statistics
import sys
import time
from datetime import datetime
from pathlib import Path

import msgspec

from bench.payload import submission
from bench.pending import resident_of
from bench.wire import KeptAlive, request

LOOKS = 15
"""Calls of each kind in a sample; it has their median."""


class Sample(msgspec.Struct, frozen=True):
    """Megabytes, numbers, milliseconds. `dispatch` is from the submit of a task that is first in
    line to its start, as the server notes them.
    """

    memory: float
    disk: float
    descriptors: int
    threads: int
    health: float
    dispatch: float
    waiting: int
    """Tasks that are ready and wait for a slot."""


class _Times(msgspec.Struct):
    task_id: str = ""
    created_at: datetime | None = None
    started_at: datetime | None = None


class _Status(msgspec.Struct):
    pending_tasks: int
    delayed_tasks: int


_TASK = msgspec.json.Decoder(_Times)
_STATUS = msgspec.json.Decoder(_Status)


class Probe:
    """Looks at one server."""

    def __init__(self, url: str, pid: int, directory: Path) -> None:
        self._url, self._proc, self._directory = url, Path(f"/proc/{pid}"), directory
        self._pid = pid

    def sample(self) -> Sample:
        # A connection for each look: between two of them the server ends one that is idle.
        with KeptAlive(self._url) as self._wire:
            health = [self._health() for _ in range(LOOKS)]
            dispatch = [self._dispatch() for _ in range(LOOKS)]
            status = _STATUS.decode(self._ask("GET", "/api/status"))
        return Sample(
            memory=resident_of(self._pid),
            disk=size_of(self._directory),
            descriptors=_count(self._proc / "fd"),
            threads=_count(self._proc / "task"),
            health=statistics.median(health),
            dispatch=statistics.median(dispatch),
            waiting=status.pending_tasks - status.delayed_tasks,
        )

    def _health(self) -> float:
        begun = time.perf_counter()
        self._ask("GET", "/healthz")
        return (time.perf_counter() - begun) * 1e3

    def _dispatch(self) -> float:
        body = msgspec.json.encode(submission(priority="critical"))
        task_id = _TASK.decode(self._ask("POST", "/api/tasks", body)).task_id
        task = _TASK.decode(self._ask("GET", f"/api/tasks/{task_id}?wait=30"))
        if task.created_at is None or task.started_at is None:
            raise RuntimeError(f"task {task_id} has not been started within 30 s")
        return (task.started_at - task.created_at).total_seconds() * 1e3

    def _ask(self, method: str, path: str, body: bytes = b"") -> bytes:
        answer = self._wire.ask(request(self._url, method, path, body))
        if answer.problem is not None:
            raise RuntimeError(f"{method} {path}: {answer.problem}")
        return answer.body


def size_of(directory: Path) -> float:
    """Megabytes of the files below it. A file that has gone meanwhile counts nothing."""
    total = 0
    for file in directory.rglob("*"):
        try:
            total += file.stat().st_size if file.is_file() else 0
        except FileNotFoundError:
            continue
    return total / 2**20


def _count(directory: Path) -> int:
    return sum(1 for _ in directory.iterdir())


def main() -> int:
    url, pid, directory = sys.argv[1:]
    probe = Probe(url, int(pid), Path(directory))
    for _ in sys.stdin:
        print(msgspec.json.encode(probe.sample()).decode(), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

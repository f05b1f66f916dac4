"""huey on Redis or on SQLite, without stored results."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from huey import RedisHuey, SqliteHuey

from bench.peers.scripts.job import BIN, TASK, address
from bench.peers.scripts.marks import note

VERSION = f"huey {version('huey')}"
ON_REDIS = address().startswith("redis:")
PROCESSES = 2 if ON_REDIS else 1  # so each was fastest of one, two and three, and of threads
WORKERS = f"{PROCESSES} processes" if ON_REDIS else "1 process, asks every 10 ms"

if ON_REDIS:
    huey = RedisHuey("peers", url=address(), results=False)
else:
    huey = SqliteHuey("peers", filename=address(), fsync=True, results=False)


@huey.task()
def job(index: int, task: dict[str, Any]) -> None:
    note(index)


def workers() -> list[list[str]]:
    # SQLite has nothing to wait on: -d and -m are how often it is asked.
    often = [] if ON_REDIS else ["-d", "0.01", "-m", "0.01"]
    program = [str(BIN / "huey_consumer"), "bench.peers.scripts.peer_huey.huey"]
    return [[*program, "-q", "-n", "-w", str(PROCESSES), "-k", "process", *often]]


def durability() -> str | None:
    if ON_REDIS:
        return None
    connection = huey.storage.conn
    (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
    (level,) = connection.execute("PRAGMA synchronous").fetchone()
    return f"journal_mode={mode}, synchronous={level}"


def enqueue(index: int) -> None:
    job(index, TASK)


def clear() -> None:
    huey.flush()

"""What happened lately, interval by interval."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from oq.words.task import Readable


class Point(Readable, Struct, frozen=True, kw_only=True):
    """What happened in one interval of time.

    `t` is the time at which the interval began. `submitted` to `retried` are numbers of tasks.
    `tokens` is the number of generated tokens. `wait_p50` and `wait_p95` are percentiles of how
    long tasks waited, and `run_p50` and `run_p95` of how long attempts ran, all in seconds. They
    are null if there were none. The time that an attempt waited inside its backend does not count
    as run, where the backend says it.
    """

    t: datetime
    submitted: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    retried: int = 0
    tokens: int = 0
    wait_p50: float | None = None
    wait_p95: float | None = None
    run_p50: float | None = None
    run_p95: float | None = None


class Stats(Readable, Struct, frozen=True):
    """What happened lately, interval by interval.

    `interval` is the length of an interval in seconds. `points` has one entry for each interval,
    the oldest first. `oldest_waiting` is when the oldest task that is ready to run was submitted.
    """

    interval: int
    points: list[Point]
    oldest_waiting: datetime | None

"""What happened lately, interval by interval."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from oq.words.task import Readable


class Point(Readable, Struct, frozen=True, kw_only=True):
    """What happened in one interval, which began at `t`. How long tasks waited, and attempts took,
    in seconds: half of them no longer than p50, 95 in a hundred no longer than p95; None if there
    were none. `tokens` are those that were generated.
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
    """`interval` is in seconds; `oldest_waiting` when the task was submitted that has waited
    longest of those which could run.
    """

    interval: int
    points: list[Point]
    oldest_waiting: datetime | None

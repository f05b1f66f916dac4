"""What happened lately, interval by interval."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from oq.words.task import Readable

COUNTED = (
    "submitted", "completed", "failed", "cancelled", "retried", "tokens", "prompt_tokens"
)  # fmt: skip
"""The fields of a `Point` that are numbers of what happened."""


class Point(Readable, Struct, frozen=True, kw_only=True):
    """What happened in one interval of time.

    `t` is the time at which the interval began. `ran` is false if oq did not run at any time of it,
    or if that is not known: then nothing is known of the interval. `submitted` to `retried` are
    numbers of tasks. `tokens` is the number of tokens that were generated in this interval, also by
    tasks that still run; those are set right when the task ends. `prompt_tokens` is the number of
    tokens that were read; it is known when the task ends. `wait_p50` and `wait_p95` are percentiles
    of how long tasks waited, and `run_p50` and `run_p95` of how long attempts ran, all in seconds.
    They are null if there were none. The time that an attempt waited inside its backend does not
    count as run, where the backend says it.
    """

    t: datetime
    submitted: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    retried: int = 0
    tokens: int = 0
    prompt_tokens: int = 0
    ran: bool = True
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


class ModelStats(Readable, Struct, frozen=True, kw_only=True):
    """One model: its tasks now, and what happened to them within the window.

    `model` is its name, without the tag `latest`. It is null for all models that have no entry of
    their own. `waiting` and `running` are the numbers of its tasks now. `paused` says that none of
    them is started (see `POST /api/models/pause`). `completed` to `retried` are numbers of tasks,
    and the percentiles are as in `Point`, over the whole window. `tokens_per_second` and
    `prompt_tokens_per_second` are those of the last minute, of all its tasks together. `tokens` and
    `prompt_tokens` are their numbers in each interval of the window, the oldest first; null where
    oq did not run.
    """

    model: str | None
    waiting: int = 0
    running: int = 0
    paused: bool = False
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    retried: int = 0
    tokens_per_second: float = 0.0
    prompt_tokens_per_second: float = 0.0
    wait_p50: float | None = None
    wait_p95: float | None = None
    run_p50: float | None = None
    run_p95: float | None = None
    tokens: list[int | None] = []
    prompt_tokens: list[int | None] = []


class StatsByModel(Readable, Struct, frozen=True):
    """The models that have tasks, or had some within the window.

    `interval` is the length of an interval in seconds, and `start` is when the first one began.
    `models` has at most 50 entries, by name, and one more for the rest. If there are more, those
    come first that are paused, that have tasks now, and that had the most.
    """

    interval: int
    start: datetime
    models: list[ModelStats]

"""The queue at a glance."""

from __future__ import annotations

from msgspec import Struct


class BackendStatus(Struct, frozen=True, omit_defaults=True):
    """One backend as the queue sees it. `error` says why it is down, `running` counts tasks."""

    name: str
    kind: str
    url: str
    up: bool
    running: int
    max_concurrency: int | None = None
    error: str | None = None


class QueueStatus(Struct, frozen=True, kw_only=True):
    """What `GET /api/status` answers. The first nine fields are the seed's.

    `pending_tasks` counts every task in state pending: those that are ready, those that wait for
    their `run_at` (`delayed_tasks`) and, among these, those that wait for a retry
    (`retrying_tasks`). `uptime` is in seconds. `problem` says why nothing can be stored, if so.
    """

    pending_tasks: int
    running_tasks: int
    completed_tasks: int
    failed_tasks: int
    cancelled_tasks: int
    total_tasks: int
    queues_by_priority: dict[str, int]
    workers_active: int
    workers_idle: int
    delayed_tasks: int
    retrying_tasks: int
    paused: bool
    draining: bool
    uptime: float
    event_seq: int
    problem: str | None
    backends: tuple[BackendStatus, ...]

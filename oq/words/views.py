"""What `status()` and the backends' list show: the queue at a glance."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from oq.words.task import Readable


class BackendStatus(Readable, Struct, frozen=True, omit_defaults=True):
    """One backend as the queue sees it. `error` says why it is down, `running` counts tasks."""

    name: str
    kind: str
    url: str
    up: bool
    running: int
    max_concurrency: int | None = None
    error: str | None = None


class Model(Readable, Struct, frozen=True, omit_defaults=True):
    """A model that a backend has, or has loaded. `size` is in bytes, on its disk or in memory;
    `parameters` and `quantization` are in its own words. What it does not say is left out.
    """

    name: str
    size: int | None = None
    parameters: str | None = None
    quantization: str | None = None
    expires_at: datetime | None = None
    """When it leaves the memory, if nobody asks for it."""


class Models(Readable, Struct, frozen=True):
    """The models that a backend has, and those of them that it holds in memory, if it says so."""

    models: tuple[Model, ...] = ()
    loaded: tuple[Model, ...] = ()


class BackendView(Readable, Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One backend with its models. `error` says why it is down, or why it does not list them."""

    name: str
    kind: str
    url: str
    up: bool
    running: int
    max_concurrency: int | None = None
    error: str | None = None
    models: tuple[Model, ...]
    loaded: tuple[Model, ...]


class QueueStatus(Readable, Struct, frozen=True, kw_only=True):
    """What `GET /api/status` answers. The first nine fields are those of ollama-queue.

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

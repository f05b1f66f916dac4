"""What `status()` and `backends()` return."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import Struct

from oq.words.task import Readable

SlotsSource = Literal["set", "told", "measured", "guessed"]
"""How it is known how many tasks a backend serves at once: the settings say it, the backend says
it, its answers say how long each task waited inside, or their lateness suggests it.
"""


class Slots(Readable, Struct, frozen=True, omit_defaults=True):
    """How many tasks a backend serves at once.

    If the number is known for each model, `model` is the model, and `load` are the options that it
    is loaded with, such as ``num_ctx=4096``. `running` is the number of its tasks that run now.
    `source` says how the number is known, and `reason` why it changed last.
    """

    slots: int
    source: SlotsSource
    reason: str
    running: int
    model: str | None = None
    load: str | None = None


class BackendStatus(Readable, Struct, frozen=True, omit_defaults=True):
    """One backend, without its models.

    `up` is false when the backend does not answer; `error` says why, and `down_since` since when.
    `running` is the number of tasks that it runs now, and `max_concurrency` how many it gets at
    once. `held` says why it gets no task for a moment, and `swap` which model it loads. `slots`
    says how many tasks it serves at once, and how that is known.
    """

    name: str
    kind: str
    url: str
    up: bool
    running: int
    max_concurrency: int | None = None
    error: str | None = None
    down_since: datetime | None = None
    held: str | None = None
    swap: str | None = None
    slots: tuple[Slots, ...] = ()


class Model(Readable, Struct, frozen=True, omit_defaults=True):
    """A model of a backend.

    `size` is in bytes: in the list of models the size on disk, in the list of loaded models the
    size in memory. `parameters` and `quantization` are texts of the backend. A field that the
    backend does not report is left out.
    """

    name: str
    size: int | None = None
    parameters: str | None = None
    quantization: str | None = None
    expires_at: datetime | None = None
    """When the backend removes it from memory, if nobody uses it before."""


class Models(Readable, Struct, frozen=True):
    """The models that a backend has, and the models that it reports to be in memory."""

    models: tuple[Model, ...] = ()
    loaded: tuple[Model, ...] = ()


class BackendFacts(Struct, frozen=True):
    """What a backend says of itself that decides which task it can start now.

    `slots` is how many calls it works on at once; of a server with several models each may have
    another number, which is in `slots_of` by its name, as far as it is known. `loaded` are the
    names of the models in its memory, as it spells them; None: it does not say. `digests` says for
    names which model they are: those of one value are one model. It may lack names. `max_models` is
    how many models its memory holds at once. None: it does not say. `incomplete`: it could not be
    asked for all of this, so what is missing may be as before.
    """

    slots: int | None = None
    loaded: tuple[str, ...] | None = None
    digests: dict[str, str] = {}
    max_models: int | None = None
    models: tuple[str, ...] | None = None
    """The names of all models that it has. None: it was not asked, or does not say."""
    incomplete: bool = False
    slots_of: dict[str, int] = {}


class BackendView(BackendStatus, frozen=True, omit_defaults=True, kw_only=True):
    """One backend with its models.

    `up` is false when the backend does not answer. `error` says why, or why it did not list its
    models. `down_since`, `running`, `max_concurrency`, `held`, `swap` and `slots` are as in
    `BackendStatus`. `models` are all its models, and `loaded` those that are in its memory. Where
    there are several backends, `models` are those whose tasks it gets: those that the settings give
    it, and of one that is down those that it had.
    """

    models: tuple[Model, ...]
    loaded: tuple[Model, ...]


class QueueStatus(Readable, Struct, frozen=True, kw_only=True):
    """The numbers of tasks, the state of the queue and its backends.

    `pending_tasks` counts all pending tasks. `delayed_tasks` counts those of them that wait for
    their `run_at`, and `retrying_tasks` those of the delayed tasks that wait for a retry.
    `queues_by_priority` is the number of pending tasks for each priority. `workers_active` is the
    number of running tasks, and `workers_idle` how many more the backends serve at once, as far as
    is known. `uptime` is in seconds.
    `paused_models` are the models whose tasks do not start, without the tag `latest`.
    `event_seq` is the `seq` of the last event. `problem` says why nothing can be stored now; it is
    null when all is well. `empty_at` is when all that waits and runs will have ended, if no more
    comes; null if that cannot be told.
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
    paused_models: tuple[str, ...] = ()
    draining: bool
    uptime: float
    event_seq: int
    problem: str | None
    empty_at: datetime | None = None
    backends: tuple[BackendStatus, ...]

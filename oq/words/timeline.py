"""What backends did lately, as it is shown."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import Struct

from oq.words.task import Readable

AttemptEnd = Literal["completed", "failed", "cancelled", "put_back"]
"""How an attempt ended. After `put_back` its task waits again, and spent no retry."""
SpanKind = Literal["down", "held", "wedged", "load", "swap"]


class TimelineAttempt(Readable, Struct, frozen=True, omit_defaults=True, kw_only=True):
    """An attempt on a backend: it ran from `started_at` to `ended_at`, which is absent while it
    runs, and `ended` says how it ended. Attempts of one `lane`, from 0 on, did not run at the same
    time. `first_token_at`, `waited_inside` and `load` are as in the attempts of a task.
    """

    task_id: str
    model: str
    lane: int
    started_at: datetime
    ended_at: datetime | None = None
    ended: AttemptEnd | None = None
    first_token_at: datetime | None = None
    waited_inside: float | None = None
    load: float | None = None


class TimelineSpan(Readable, Struct, frozen=True, omit_defaults=True, kw_only=True):
    """How a backend was from `since` to `until`, which is absent while it is so.

    `kind` is `down`, when it did not answer; `held`, when it got no task or only one at a time;
    `wedged`, when it is held because tasks of a model produced nothing; `load`, when it loaded the
    model that `reason` names; or `swap`, when another model had to leave for that. Of the other
    kinds `reason` says why.
    """

    kind: SpanKind
    since: datetime
    until: datetime | None = None
    reason: str


class BackendTimeline(Readable, Struct, frozen=True):
    """One backend: what ran there, and how it was, the oldest first."""

    name: str
    attempts: list[TimelineAttempt]
    spans: list[TimelineSpan]


class Timeline(Readable, Struct, frozen=True):
    """What the backends did from `since` to `now`. If a backend ran more than 500 attempts in that
    time, it has the latest 500. What was before a restart of the server is not in it.
    """

    since: datetime
    now: datetime
    backends: list[BackendTimeline]

"""What the user of a task decides about it, beside what the model is asked."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypedDict

from msgspec import Struct

from oq.words.durations import Time


class Terms(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Every field has passed its checks (`oq.rules.terms`) and has its final type. They come
    with the submission, are stored with the task and are carried whole from there.

    A task does not run before `run_at`. `timeout` is in seconds, of one attempt. `metadata` is a
    JSON object, undecoded. The `idempotency_key` is removed with the task.
    """

    model: str
    priority: int
    max_retries: int
    run_at: datetime | None = None
    timeout: float | None = None
    metadata: bytes | None = None
    idempotency_key: str | None = None


class TermOptions(TypedDict, total=False):
    """The terms of a task as keywords of `oq.chat`, `oq.generate` and `oq.embed`; the model comes
    before them, and the idempotency key goes with `submit`.

    `priority` is 0 to 100 or low, normal, high, critical; higher runs first. `timeout` is how long
    one attempt may take: seconds, ``"5m"`` or a timedelta. `max_retries` is how often a failed
    attempt is tried again. The task does not run before `run_at`, a time with its zone. `metadata`
    stays with it, for you.
    """

    priority: int | str | None
    timeout: Time | None
    max_retries: int | None
    run_at: datetime | str | None
    metadata: Mapping[str, Any] | None

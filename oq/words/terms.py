"""What the user of a task decides about it, beside what the model is asked."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct


class Terms(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Every field has passed its checks (`oq.rules.validation`) and has its final type. They come
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

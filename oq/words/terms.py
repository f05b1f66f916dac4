"""What a user decides about a task, apart from what goes to the model."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypedDict

from msgspec import Struct

from oq.words.durations import Time


class Terms(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What a user decided about a task. The terms come with the submission and are stored with the
    task. Every field has passed its checks (`oq.rules.terms`) and has its final type.

    The task does not run before `run_at`. `timeout` is in seconds, for one attempt. `metadata` is
    an undecoded JSON object. The `idempotency_key` is removed together with the task. `load` is
    what of its body decides whether a model in memory fits (see `oq.rules.load_options`). `tenant`
    is for whom it runs, where there is fairness between tenants. `conversation` is the number of
    the one that it is a part of, where there are several backends (see `oq.rules.conversations`);
    0: of none.
    """

    model: str
    priority: int
    max_retries: int
    run_at: datetime | None = None
    timeout: float | None = None
    metadata: bytes | None = None
    idempotency_key: str | None = None
    load: str = ""
    tenant: str = ""
    conversation: int = 0


class TermOptions(TypedDict, total=False):
    """The terms of a task as keywords of `oq.chat`, `oq.generate` and `oq.embed`. The model is
    another argument of these, and the idempotency key is an argument of `submit`.

    `priority` is 0 to 100, or low, normal, high, critical. Tasks with a higher priority run first.
    `timeout` is the longest time for one attempt: seconds, ``"5m"`` or a timedelta. `max_retries`
    is the number of times that a failed attempt is repeated. `run_at` is a time with a zone: the
    task does not run before it. `metadata` is stored with the task and not sent to the model.
    """

    priority: int | str | None
    timeout: Time | None
    max_retries: int | None
    run_at: datetime | str | None
    metadata: Mapping[str, Any] | None

"""The bounds of what one task may ask for."""

from __future__ import annotations

from msgspec import Struct

from oq.rules.json_size import count_values
from oq.words.config import QueueConfig
from oq.words.errors import InvalidTask


class Limits(Struct, frozen=True):
    """As they are configured; see `oq.words.config`."""

    max_payload: int
    max_metadata: int
    max_batch: int
    max_retries: int
    """What a task gets that does not say."""
    zero_is_default: bool = False
    """Whether a task that says 0 does not say: Go clients cannot leave the field out."""
    max_values: int = QueueConfig().max_values
    tenant_by: str | None = None
    """The field of its metadata that names its tenant, where there is fairness between tenants."""
    conversations: bool = False
    """Whether it is told which conversation it is a part of: where there are several backends."""


def check_size(field: str, text: bytes, limits: Limits, *, tasks: int = 1) -> None:
    """Return if the text of so many tasks has no more values than they may have: they take far more
    memory than their text, and time.
    """
    most = limits.max_values  # a text of so many bytes has no more values than that
    if len(text) > most and count_values(text, most, tasks * most) > tasks * most:
        raise InvalidTask(field, f"it has more than {most} JSON values (queue.max_values)")

"""The terms of a submission, checked: what its user writes becomes `oq.words.terms.Terms`."""

from __future__ import annotations

from datetime import UTC, datetime

from msgspec import Raw, UnsetType

from oq.rules.json_decoding import decode_object
from oq.rules.limits import Limits
from oq.rules.tenants import tenant_of
from oq.words.durations import parse_duration
from oq.words.errors import InvalidTask
from oq.words.task import (
    MAX_PRIORITY,
    MAX_RETRIES,
    MAX_TENANT,
    MIN_PRIORITY,
    Priority,
    Submission,
)
from oq.words.terms import Terms

MAX_MODEL_LENGTH = 256
MAX_KEY_LENGTH = 255
_MOST_DIGITS = 9  # of a priority that is written as text

_PRIORITIES = {priority.name.lower(): int(priority) for priority in Priority}


def terms_of(submission: Submission, limits: Limits) -> Terms:
    """What its user wants of the task beside the answer."""
    key, run_at = submission.idempotency_key, submission.run_at
    metadata = _metadata(submission.metadata, limits)
    return Terms(
        model=parse_model(submission.model),
        priority=parse_priority(submission.priority),
        max_retries=_max_retries(submission.max_retries, limits),
        run_at=None if run_at is None else _run_at(run_at),
        timeout=_timeout(submission.timeout),
        metadata=metadata,
        idempotency_key=None if key is None else check_idempotency_key(key),
        tenant=tenant_of(metadata, limits.tenant_by),
    )


def terms_of_call(
    *,
    model: str,
    priority: int,
    timeout: float | str | None,
    metadata: bytes,
    load: str,
    tenant: str,
    conversation: int,
    key: str | None,
    limits: Limits,
) -> Terms:
    """The same of a call, from what its request and the settings say; the metadata is oq's own.
    Whether its model is one is for the backend to say.
    """
    return Terms(
        model=model if _is_name(model) else "",
        priority=priority,
        max_retries=limits.max_retries,
        timeout=_timeout(timeout),
        metadata=metadata,
        idempotency_key=None if key is None else check_idempotency_key(key),
        load=load,
        tenant=tenant[:MAX_TENANT] if limits.tenant_by else "",
        conversation=conversation,
    )


def parse_model(name: str) -> str:
    """The name, if it may be that of a model, or InvalidTask."""
    if not _is_name(name):
        raise InvalidTask(
            "model", f"{name[:64]!r} is not a name of 1 to {MAX_MODEL_LENGTH} printable characters"
        )
    return name


def parse_priority(value: object) -> int:
    """A priority from its number (0 to 100) or its name; InvalidTask otherwise."""
    if isinstance(value, str):
        named = _PRIORITIES.get(value.lower())
        if named is not None:
            return named
        if value.isascii() and value.isdigit() and len(value) <= _MOST_DIGITS:
            value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        if MIN_PRIORITY <= value <= MAX_PRIORITY:
            return int(value)
    raise InvalidTask(
        "priority",
        f"{str(value)[:64]!r} is neither low, normal, high, critical"
        f" nor a number from {MIN_PRIORITY} to {MAX_PRIORITY}",
    )


def check_idempotency_key(key: str) -> str:
    """The key, if it can be one: 1 to 255 printable ASCII characters."""
    if not 1 <= len(key) <= MAX_KEY_LENGTH or not (key.isascii() and key.isprintable()):
        raise InvalidTask(
            "Idempotency-Key", f"it must be 1 to {MAX_KEY_LENGTH} printable ASCII characters"
        )
    return key


def _is_name(name: str) -> bool:
    return 0 < len(name) <= MAX_MODEL_LENGTH and name.isprintable()


def _max_retries(value: int | None, limits: Limits) -> int:
    if value is None or (value == 0 and limits.zero_is_default):
        return limits.max_retries
    if not 0 <= value <= MAX_RETRIES:
        raise InvalidTask("max_retries", f"{value} is not between 0 and {MAX_RETRIES}")
    return value


def _run_at(value: datetime) -> datetime:
    """In UTC, as it is stored: near year 9999 another zone's time has no such form."""
    if value.tzinfo is None:
        raise InvalidTask("run_at", "the time has no zone; write 2026-01-31T12:00:00Z")
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise InvalidTask("run_at", "the time is not between the years 1 and 9999") from None


def _timeout(value: float | str | None) -> float | None:
    if value is None:
        return None
    try:
        seconds = float(parse_duration(value))
    except ValueError as error:
        raise InvalidTask("timeout", str(error)) from None
    if seconds <= 0:
        raise InvalidTask("timeout", "it must be more than 0")
    return seconds


def _metadata(value: Raw | UnsetType, limits: Limits) -> bytes | None:
    document = decode_object("metadata", value)
    if document is not None and len(document) > limits.max_metadata:
        raise InvalidTask(
            "metadata",
            f"it has {len(document)} bytes, at most {limits.max_metadata} (queue.max_metadata)",
        )
    return document

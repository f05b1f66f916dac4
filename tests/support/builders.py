"""Tasks for tests, in each of their shapes, with everything that a test does not care about."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from msgspec import Raw

from oq.rules import lifecycle
from oq.rules.limits import Limits
from oq.rules.retry import RetryPolicy
from oq.rules.validation import Checked, check
from oq.words.outcome import Completed, Outcome
from oq.words.steps import Change
from oq.words.task import Submission, TaskState

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
LIMITS = Limits(max_payload=1 << 20, max_metadata=4096, max_batch=100, max_retries=3)
POLICY = RetryPolicy(initial_delay=1, max_delay=30, backoff_factor=2, jitter=False)
AT_ONCE = {"delay": 0, "tokens_per_second": 0, "load": 0, "parallel": 0}
"""Simulated backends for tests that look neither at their pace nor at who waits inside them."""
UNTIMED = 600.0
"""Seconds to connect, and of silence, for a backend in tests that are not about either: a machine
that is busy may hold this process for a second at any place."""
DONE = Completed(b'{"response":"hello","done":true}')


def at(seconds: float) -> datetime:
    """So many seconds after the tests' noon."""
    return NOW + timedelta(seconds=seconds)


def task_id(number: int) -> str:
    """The ids of tests, in the order of their numbers."""
    return f"01900000-0000-7000-8000-{number:012x}"


def submission(prompt: str = "Why is the sky blue?", **fields: object) -> Submission:
    """What a user sends to have a prompt answered."""
    payload = Raw(json.dumps({"prompt": prompt}).encode())
    return Submission(**{"type": "generate", "model": "smollm2", "payload": payload, **fields})


def checked(**fields: object) -> Checked:
    return check(submission(**fields), LIMITS)


def new(number: int = 1, now: datetime = NOW, key: str | None = None, **fields: object) -> Change:
    """A task's first step; with a key, its fingerprint is the key's name too."""
    mark = None if key is None else b"mark of " + key.encode()
    return lifecycle.submitted(checked(idempotency_key=key, **fields), task_id(number), now, mark)


def start(state: TaskState, now: datetime = NOW) -> Change:
    return lifecycle.started(state, "ollama", now)


def finish(
    state: TaskState,
    outcome: Outcome = DONE,
    now: datetime = NOW,
    first_token_at: datetime | None = None,
) -> Change:
    return lifecycle.finished(state, outcome, now, POLICY, lambda: 1.0, first_token_at)

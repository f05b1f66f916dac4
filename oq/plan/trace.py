"""A trace: what ran on a queue, one JSON object a line, without the text of prompts and answers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

import msgspec
from msgspec import Struct

from oq.words.durations import TEN_YEARS
from oq.words.task import MAX_PRIORITY, MIN_PRIORITY, Summary

MAX_LINE = 64 * 1024
"""Bytes of a line. A longer one is none of a trace."""
MAX_TOKENS = 1_000_000_000_000
"""Of a prompt or of an answer: more than any model reads or writes."""
_TIMES = ("created_at", "started_at", "first_token_at", "completed_at")
_SECONDS = ("waited_inside", "load")
_TOKENS = ("prompt_tokens", "completion_tokens")


class Ran(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A task that ran. The fields have the names that they have in the HTTP API. What belongs to
    an attempt is that of the last one. What is not known is absent. `waited_inside` and `load` are
    in seconds.
    """

    created_at: datetime
    model: str
    type: str
    priority: int
    status: str
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    tenant: str | None = None
    backend: str | None = None
    started_at: datetime | None = None
    first_token_at: datetime | None = None
    completed_at: datetime | None = None
    waited_inside: float | None = None
    load: float | None = None


class NoTrace(ValueError):
    """A line is none of a trace; the message names the line and what is wrong with it."""


def ran(task: Summary) -> Ran | None:
    """The line of a task; None if it has not run, or runs still."""
    if not task.status.ended or not task.attempts:
        return None
    last = task.attempts[-1]
    tenant = (task.metadata or {}).get("tenant")
    return Ran(
        created_at=task.created_at,
        model=task.model,
        type=str(task.type),
        priority=task.priority,
        tenant=tenant if isinstance(tenant, str) else None,
        status=str(task.status),
        prompt_tokens=task.usage.prompt_tokens if task.usage else None,
        completion_tokens=task.usage.completion_tokens if task.usage else None,
        backend=last.backend,
        started_at=last.started_at,
        first_token_at=last.first_token_at,
        completed_at=last.ended_at or task.completed_at,
        waited_inside=last.waited_inside,
        load=last.load,
    )


_DECODER = msgspec.json.Decoder(Ran)


def read_trace(lines: Iterable[bytes], name: str) -> Iterator[Ran]:
    """The tasks of a trace. NoTrace if a line is wrong; `name` is that of the file."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            yield _checked(line)
        except ValueError as error:
            raise NoTrace(
                f"{name}, line {number}: {error}; a trace is what `oq trace export` writes"
            ) from None


def _checked(line: bytes) -> Ran:
    if len(line) > MAX_LINE:
        raise ValueError(f"it has over {MAX_LINE} bytes")
    task = _DECODER.decode(line)
    for name in _TIMES:
        time = getattr(task, name)
        if time is not None and time.tzinfo is None:
            raise ValueError(f"{name}, {time.isoformat()}, has no zone")
    if not MIN_PRIORITY <= task.priority <= MAX_PRIORITY:
        raise ValueError(f"priority {task.priority} is not {MIN_PRIORITY} to {MAX_PRIORITY}")
    for name in _TOKENS:
        tokens = getattr(task, name) or 0
        if tokens < 0:
            raise ValueError("a number of tokens is below 0")
        if tokens > MAX_TOKENS:
            raise ValueError(f"a number of tokens is over {MAX_TOKENS:,}")
    for name in _SECONDS:
        seconds = getattr(task, name) or 0.0
        if seconds < 0:
            raise ValueError(f"{name}, {seconds:g} seconds, is below 0")
        if seconds > TEN_YEARS:
            raise ValueError(f"{name}, {seconds:g} seconds, is over ten years")
    return task

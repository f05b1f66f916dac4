"""What can be submitted: one constructor a kind of task."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypedDict, Unpack

from msgspec import Struct

from oq.words.errors import InvalidTask
from oq.words.task import TaskType


class NewTask(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A task as it is submitted; `chat`, `generate` and `embed` make one.

    `priority` is 0 to 100 or low, normal, high, critical (higher runs first; normal if unset).
    `timeout` is seconds or a Go duration (``"5m"``), `run_at` a time with zone before which it
    does not run. `options` goes to the model, `metadata` stays with the task.
    """

    type: TaskType
    model: str
    payload: dict[str, Any]
    options: Mapping[str, Any] | None = None
    priority: int | str | None = None
    max_retries: int | None = None
    run_at: datetime | str | None = None
    timeout: float | str | None = None
    metadata: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        """InvalidTask for a number that JSON does not have: it would be sent as null."""
        for field in ("payload", "options", "metadata"):
            if not _is_finite(getattr(self, field)):
                raise InvalidTask(field, "JSON has no infinite number, and none that is not one")


class Terms(TypedDict, total=False):
    """The fields of a `NewTask` that every kind of task has."""

    options: Mapping[str, Any] | None
    priority: int | str | None
    max_retries: int | None
    run_at: datetime | str | None
    timeout: float | str | None
    metadata: Mapping[str, Any] | None


def chat(
    model: str,
    messages: str | Sequence[Mapping[str, Any]],
    *,
    system: str | None = None,
    extra: Mapping[str, Any] | None = None,
    **terms: Unpack[Terms],
) -> NewTask:
    """A conversation to go on with: its messages, or just what the user says.

    `extra` holds more of Ollama's fields: tools, format, think, ...
    """
    said = [{"role": "user", "content": messages}] if isinstance(messages, str) else list(messages)
    payload = _payload(extra, messages=said, system=system)
    return NewTask(type=TaskType.CHAT, model=model, payload=payload, **terms)


def generate(
    model: str,
    prompt: str,
    *,
    system: str | None = None,
    template: str | None = None,
    extra: Mapping[str, Any] | None = None,
    **terms: Unpack[Terms],
) -> NewTask:
    """A text to complete. `template` is used instead of the model's own, in Ollama's notation;
    `extra` holds more of Ollama's fields: images, suffix, raw, format, think, ...
    """
    payload = _payload(extra, prompt=prompt, system=system, template=template)
    return NewTask(type=TaskType.GENERATE, model=model, payload=payload, **terms)


def embed(
    model: str,
    input: str | Sequence[str],
    *,
    truncate: bool | None = None,
    extra: Mapping[str, Any] | None = None,
    **terms: Unpack[Terms],
) -> NewTask:
    """One text or several to turn into vectors. `truncate` says whether a text that is too long is
    cut (it is, unless this is False) or refused; `extra` holds more: dimensions, keep_alive, ...
    """
    texts = input if isinstance(input, str) else list(input)
    payload = _payload(extra, input=texts, truncate=truncate)
    return NewTask(type=TaskType.EMBED, model=model, payload=payload, **terms)


def _payload(extra: Mapping[str, Any] | None, **fields: Any) -> dict[str, Any]:
    given = {name: value for name, value in fields.items() if value is not None}
    return given | dict(extra or {})


def _is_finite(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, Mapping):
        return all(map(_is_finite, value.values()))
    return not isinstance(value, (list, tuple)) or all(map(_is_finite, value))

"""New tasks: one constructor for each type of task."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import wraps
from typing import Any, TypeVar, Unpack

from msgspec import Struct
from msgspec.structs import force_setattr

from oq.words.arguments import lists_keywords
from oq.words.durations import Time
from oq.words.errors import InvalidTask
from oq.words.task import TaskType
from oq.words.terms import TermOptions


class NewTask(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A task to submit. `oq.chat`, `oq.generate` and `oq.embed` make one.

    `payload` and `options` go to the model. `priority` is 0 to 100, or low, normal, high, critical.
    Tasks with a higher priority run first. The default is normal. `max_retries` is the number of
    times that a failed attempt is repeated; the default is the setting `retry_config.max_retries`.
    `run_at` is a time with a zone: the task does not run before it. `timeout` is the longest time
    for one attempt: seconds, a Go duration (``"5m"``) or a timedelta. `metadata` is yours: oq
    stores it with the task and does not send it to the model.
    """

    type: TaskType
    model: str
    payload: dict[str, Any]
    options: Mapping[str, Any] | None = None
    priority: int | str | None = None
    max_retries: int | None = None
    run_at: datetime | str | None = None
    timeout: Time | None = None
    metadata: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        """InvalidTask for a number that JSON does not have: it would be sent as null."""
        for field in ("payload", "options", "metadata"):
            if not _is_finite(getattr(self, field)):
                raise InvalidTask(field, "it contains inf or nan, and JSON has no such numbers")
        if isinstance(self.timeout, timedelta):  # JSON would have it as P1DT2H
            force_setattr(self, "timeout", self.timeout.total_seconds())


Make = TypeVar("Make", bound=Callable[..., NewTask])


def _explained(make: Make) -> Make:
    """Make `help` list each of the terms, and an unknown keyword raise an error that helps."""
    make = lists_keywords(TermOptions)(make)
    signature = inspect.signature(make)
    taken = [one.name for one in signature.parameters.values() if one.kind is one.KEYWORD_ONLY]

    @wraps(make)
    def made(*args: Any, **given: Any) -> NewTask:
        for name in given:
            if name not in signature.parameters:
                raise TypeError(
                    f"oq.{make.__name__}() has no argument {name!r}; {_where(name, taken)}"
                )
        return make(*args, **given)

    return made  # type: ignore[return-value]


def _where(name: str, taken: Collection[str]) -> str:
    """Where the value of an unknown keyword may belong."""
    for other in taken:
        if other[0] == name[0] and len(set(other) ^ set(name)) <= 2:  # a letter is wrong, or two
            return f"did you mean {other!r}?"
    if name in _EXTRA:
        return f"other fields of Ollama's API go into extra: extra={{{name!r}: ...}}"
    return f"options of the model go into options: options={{{name!r}: ...}}"


_EXTRA = {
    "dimensions", "format", "images", "keep_alive", "logprobs", "raw", "suffix", "template",
    "think", "tools", "top_logprobs",
}  # fmt: skip
"""Fields of Ollama's requests beside `options`: https://docs.ollama.com/api"""


@_explained
def chat(
    model: str,
    messages: str | Mapping[str, Any] | Sequence[Mapping[str, Any]],
    *,
    system: str | None = None,
    extra: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
    **terms: Unpack[TermOptions],
) -> NewTask:
    """A chat task: the model writes the next message of a conversation.

    `messages` is a list of messages (dicts with role and content), one message, or the user's text.
    `system` is the system prompt. `extra` has more fields of Ollama's API: tools, format, think,
    ... `options` are the options of the model, such as ``{"temperature": 0}``.

    `priority` is 0 to 100, or low, normal, high, critical. Tasks with a higher priority run first.
    The default is normal. `timeout` is the longest time for one attempt: seconds, ``"5m"`` or a
    timedelta. `max_retries` is the number of times that a failed attempt is repeated. `run_at` is a
    time with a zone: the task does not run before it. `metadata` is yours: oq stores it with the
    task and does not send it to the model.
    """
    payload = _payload(extra, messages=_messages(messages), system=system)
    return NewTask(type=TaskType.CHAT, model=model, payload=payload, options=options, **terms)


@_explained
def generate(
    model: str,
    prompt: str,
    *,
    system: str | None = None,
    template: str | None = None,
    extra: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
    **terms: Unpack[TermOptions],
) -> NewTask:
    """A generate task: the model continues the text `prompt`.

    `template` replaces the model's own prompt template. It is in Ollama's notation. `extra` has
    more fields of Ollama's API: images, suffix, raw, format, think, ... The other arguments mean
    the same as in `oq.chat`.
    """
    payload = _payload(extra, prompt=prompt, system=system, template=template)
    return NewTask(type=TaskType.GENERATE, model=model, payload=payload, options=options, **terms)


@_explained
def embed(
    model: str,
    input: str | Sequence[str],
    *,
    truncate: bool | None = None,
    extra: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
    **terms: Unpack[TermOptions],
) -> NewTask:
    """An embed task: the model makes a vector of each text in `input`.

    A text that is too long for the model is cut. With ``truncate=False`` it is an error instead.
    `extra` has more fields of Ollama's API: dimensions, keep_alive, ... The other arguments mean
    the same as in `oq.chat`.
    """
    if isinstance(input, (bytes, Mapping)) or not isinstance(input, Iterable):
        raise InvalidTask(
            "payload.input", f"{str(input)[:64]!r} is neither a text nor a list of texts"
        )
    texts = input if isinstance(input, str) else list(input)
    payload = _payload(extra, input=texts, truncate=truncate)
    return NewTask(type=TaskType.EMBED, model=model, payload=payload, options=options, **terms)


def _messages(given: str | Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> list[Any]:
    if isinstance(given, str):
        return [{"role": "user", "content": given}]
    if isinstance(given, Mapping):
        return [given]
    if not isinstance(given, Iterable):
        raise InvalidTask(
            "payload.messages",
            f"{str(given)[:64]!r} is neither a text nor a list of messages, such as"
            ' [{"role": "user", "content": "hello"}]',
        )
    return list(given)


def _payload(extra: Mapping[str, Any] | None, **fields: Any) -> dict[str, Any]:
    if extra is not None and not isinstance(extra, Mapping):
        raise InvalidTask("extra", f"{str(extra)[:64]!r} is not a dict of fields")
    given = {name: value for name, value in fields.items() if value is not None}
    return given | dict(extra or {})


def _is_finite(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, Mapping):
        return all(map(_is_finite, value.values()))
    return not isinstance(value, (list, tuple)) or all(map(_is_finite, value))

"""How fast models are: as somebody says, or as a trace shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from msgspec import Struct

from oq.plan.machine import Asked
from oq.plan.trace import Ran
from oq.rules.model_names import full_name
from oq.words.task import Readable

PROMPT, GENERATED, LOAD = 1000.0, 50.0, 5.0
"""Tokens a second, twice, and seconds, where nothing else is known."""
NOTICEABLE = 0.25
"""Seconds. A model that was in memory so soon was there, if any other took longer."""


class Rates(Readable, Struct, frozen=True):
    """Tokens of a prompt and of an answer that a model works on in a second, for one call, and how
    many seconds a load takes.
    """

    prompt: float = PROMPT
    generated: float = GENERATED
    load: float = LOAD


UNKNOWN = Rates()


def learn_rates(
    trace: Iterable[Ran],
    prompt: float | None = None,
    generated: float | None = None,
    load: float | None = None,
) -> dict[str, Rates]:
    """The rates of each model of a trace, by its full name. What is given counts for all of them;
    the rest is taken from the times in the trace.
    """
    return {
        model: _learnt(tasks, prompt, generated, load, UNKNOWN)
        for model, tasks in _by_model(trace).items()
    }


def rates_on(
    backend: str,
    trace: Iterable[Ran],
    usual: Mapping[str, Rates],
    prompt: float | None = None,
    generated: float | None = None,
    load: float | None = None,
) -> dict[str, Rates]:
    """The rates of each model on the backend of this name. What is given counts; else what the
    trace shows of the tasks that ran there; else what is usual.
    """
    there = _by_model(task for task in trace if task.backend == backend)
    return {
        model: _learnt(there.get(model, []), prompt, generated, load, known)
        for model, known in usual.items()
    }


def _by_model(trace: Iterable[Ran]) -> dict[str, list[Ran]]:
    by_model: dict[str, list[Ran]] = {}
    for task in trace:
        by_model.setdefault(full_name(task.model), []).append(task)
    return by_model


def _learnt(
    tasks: Sequence[Ran],
    prompt: float | None,
    generated: float | None,
    load: float | None,
    unknown: Rates,
) -> Rates:
    """The rates of a model: what is given, else what these tasks show, else `unknown`."""
    return Rates(
        prompt or _rate([_reading(task) for task in tasks]) or unknown.prompt,
        generated or _rate([_writing(task) for task in tasks]) or unknown.generated,
        _load([task.load or 0.0 for task in tasks], unknown.load) if load is None else load,
    )


def asked(trace: Iterable[Ran], rates: dict[str, Rates]) -> list[Asked]:
    """The tasks of a trace in the order of submission, each with how long it takes."""
    tasks = sorted(trace, key=_submitted)
    return [_asked(number, task, tasks[0].created_at, rates) for number, task in enumerate(tasks)]


def _asked(number: int, task: Ran, first: datetime, rates: dict[str, Rates]) -> Asked:
    model = full_name(task.model)
    read, written = task.prompt_tokens or 0, task.completion_tokens or 0
    reads, writes = read / rates[model].prompt, written / rates[model].generated
    if not read and not written:  # a picture, or a failure
        writes = _served(task) or 0.0
    return Asked(
        number=number,
        at=(task.created_at - first).total_seconds(),
        model=model,
        priority=task.priority,
        tenant=task.tenant,
        tokens=read + written,
        generated=written,
        reads=reads,
        writes=writes,
    )


def _submitted(task: Ran) -> datetime:
    return task.created_at


def _rate(parts: list[tuple[int, float]]) -> float | None:
    """All tokens over all seconds: so the whole takes as long as it took."""
    seconds = sum(took for tokens, took in parts if tokens and took > 0)
    tokens = sum(tokens for tokens, took in parts if tokens and took > 0)
    return tokens / seconds if seconds else None


def _reading(task: Ran) -> tuple[int, float]:
    """The tokens of its prompt, and the seconds that they took; 0 if that is not known."""
    until = task.first_token_at if task.completion_tokens else task.completed_at
    if until is None or task.started_at is None:
        return 0, 0.0
    took = (until - task.started_at).total_seconds()
    return task.prompt_tokens or 0, took - (task.waited_inside or 0.0) - (task.load or 0.0)


def _writing(task: Ran) -> tuple[int, float]:
    if task.first_token_at is None or task.completed_at is None:
        return 0, 0.0
    return task.completion_tokens or 0, (task.completed_at - task.first_token_at).total_seconds()


def _served(task: Ran) -> float | None:
    """The seconds that the server worked on it."""
    if task.started_at is None or task.completed_at is None:
        return None
    took = (task.completed_at - task.started_at).total_seconds()
    return max(0.0, took - (task.waited_inside or 0.0) - (task.load or 0.0))


def _load(loads: list[float], unknown: float) -> float:
    """A server says of each call how long it took until the model was in memory. That is next to
    nothing if it was there, and longer than a load if others were loaded before: so it is the lower
    quartile of those that are noticeable.
    """
    longest = max(loads, default=0.0)
    if not longest:
        return unknown
    noticeable = sorted(load for load in loads if load >= NOTICEABLE) or [longest]
    return noticeable[len(noticeable) // 4]

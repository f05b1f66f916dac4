"""What callers hand over, looked at before anything is done with it.

A wrong object is named at once, and not by whatever breaks on it later.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from typing import Any, TypeVar, get_type_hints

from oq.words.errors import InvalidTask
from oq.words.task import Task

F = TypeVar("F", bound=Callable[..., Any])

_SHOWN = 64


def task_id_of(given: object) -> str:
    """The id of a task; InvalidTask for what cannot be one."""
    if isinstance(given, str):
        return given
    if isinstance(given, Task):
        raise InvalidTask("task_id", "this is a Task; give its id: task.id")
    _check_awaited("task_id", given)
    raise InvalidTask(
        "task_id", f"{_shown(given)} is not the id of a task; `submit` returns it, as text"
    )


def check_new(given: object) -> None:
    """InvalidTask for what cannot become a task, whatever is in it."""
    _check_awaited("task", given)
    if given is None or isinstance(given, (str, bytes, int, float, list, tuple)):
        raise InvalidTask(
            "task", f"{_shown(given)} is not a task; oq.chat, oq.generate and oq.embed make one"
        )


def check_several(given: object) -> None:
    """InvalidTask for what is not several tasks, such as a single one."""
    _check_awaited("tasks", given)
    if isinstance(given, (str, bytes, Mapping)) or not isinstance(given, Iterable):
        raise InvalidTask(
            "tasks", f"{_shown(given)} is not a list of tasks; use `submit` for a single task"
        )


def whole_number(name: str, given: object) -> int:
    """The number; InvalidTask for what is none."""
    if isinstance(given, int) and not isinstance(given, bool):
        return given
    raise InvalidTask(name, f"{_shown(given)} is not a whole number")


def _check_awaited(name: str, given: object) -> None:
    if isinstance(given, Coroutine):
        given.close()  # Python would warn of it too, in other words and at another time
    if isinstance(given, Awaitable):
        raise InvalidTask(name, "this call was not awaited; write `await` before it")


def _shown(given: object) -> str:
    text = repr(given)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def lists_keywords(of: type) -> Callable[[F], F]:
    """Have `help` list the keywords of this TypedDict where the function takes them as one."""

    def decorate(function: F) -> F:
        shown = inspect.signature(function)
        own = [one for one in shown.parameters.values() if one.kind is not one.VAR_KEYWORD]
        more = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=hint)
            for name, hint in get_type_hints(of).items()
            if name not in shown.parameters
        ]
        function.__signature__ = shown.replace(parameters=[*own, *more])  # type: ignore[attr-defined]
        return function

    return decorate

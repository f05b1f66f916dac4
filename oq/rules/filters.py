"""Which tasks a listing shows."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Any, TypeVar

from msgspec import Struct

from oq.rules.ids import is_id
from oq.rules.validation import parse_priority
from oq.words.errors import InvalidTask
from oq.words.task import RawTask, Status, TaskState, TaskType

Choice = TypeVar("Choice", bound=StrEnum)

DEFAULT_LIMIT = 1000
MAX_LIMIT = 10_000


class TaskFilter(Struct, frozen=True, kw_only=True):
    """Empty sets let everything through. `after` is the id of the last task already seen: the
    listing goes from the newest to the oldest and goes on below it.
    """

    statuses: frozenset[Status] = frozenset()
    types: frozenset[TaskType] = frozenset()
    priorities: frozenset[int] = frozenset()
    models: frozenset[str] = frozenset()
    limit: int = DEFAULT_LIMIT
    offset: int = 0
    after: str | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.limit <= MAX_LIMIT:
            raise InvalidTask("limit", f"{self.limit} is not between 1 and {MAX_LIMIT}")
        if self.offset < 0:
            raise InvalidTask("offset", f"{self.offset} is less than 0")
        if self.after is not None and not is_id(self.after):
            raise InvalidTask("after", f"{self.after[:64]!r} is not the id of a task")

    def admits(self, state: TaskState) -> bool:
        return (
            (not self.statuses or state.status in self.statuses)
            and (not self.types or state.type in self.types)
            and (not self.priorities or state.priority in self.priorities)
            and (not self.models or state.model in self.models)
        )


class Page(Struct, frozen=True):
    """Part of a listing. `next` is what to give as `after` for the next page; None at the end. A
    page is bounded in bytes and in tasks looked at, so it may be short, or empty, and have a next.
    """

    tasks: list[RawTask]
    next: str | None


def task_filter(
    *,
    status: str | Iterable[str] = (),
    type: str | Iterable[str] = (),
    priority: int | str | Iterable[int | str] = (),
    model: str | Iterable[str] = (),
    limit: int = DEFAULT_LIMIT,
    offset: int = 0,
    after: str | None = None,
) -> TaskFilter:
    """A filter from what people write; InvalidTask names what is wrong."""
    return TaskFilter(
        statuses=frozenset(_choice("status", Status, value) for value in _each(status)),
        types=frozenset(_choice("type", TaskType, value) for value in _each(type)),
        priorities=frozenset(parse_priority(value) for value in _each(priority)),
        models=frozenset(_each(model)),
        limit=limit,
        offset=offset,
        after=after,
    )


def _each(value: Any) -> Iterable[Any]:
    return (value,) if isinstance(value, (str, int)) else value


def _choice(name: str, kind: type[Choice], value: str) -> Choice:
    try:
        return kind(value)
    except ValueError:
        raise InvalidTask(name, f"{value[:64]!r} is none of {', '.join(kind)}") from None

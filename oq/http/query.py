"""Parameters after the question mark: checked as strictly as a body is."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar

from werkzeug.datastructures import MultiDict

from oq.rules.filters import TaskFilter, task_filter
from oq.rules.ids import is_id
from oq.words.durations import parse_duration
from oq.words.errors import InvalidTask
from oq.words.which import CONDITIONS, IN_HTTP

T = TypeVar("T")
Choice = TypeVar("Choice", bound=StrEnum)

_SHOWN = 64  # characters of a wrong value that an error repeats


class Query:
    """The parameters of one request. A parameter without a value counts as absent: the pages of
    ollama-queue send ``?status=&type=``. InvalidTask names the parameter that is wrong.
    """

    def __init__(self, args: MultiDict[str, str]) -> None:
        self._args = args

    def only(self, known: Collection[str]) -> None:
        """Refuse what the route does not have: a typo must not pass for a filter."""
        for name in self._args:
            if name not in known:
                takes = f"it takes {', '.join(known)}" if known else "it takes none"
                raise InvalidTask(name[:_SHOWN], f"there is no such parameter; {takes}")

    def one(self, name: str) -> str | None:
        """The value of a parameter that may be given once."""
        values = [value for value in self._args.getlist(name) if value]
        if len(values) > 1:
            raise InvalidTask(name, f"it was given {len(values)} times")
        return values[0] if values else None

    def many(self, name: str) -> list[str]:
        """The values of a parameter that may be repeated, or list several after commas."""
        parts = (part.strip() for value in self._args.getlist(name) for part in value.split(","))
        return [part for part in parts if part]

    def choice(self, name: str, kind: type[Choice], default: Choice) -> Choice:
        value = self.one(name)
        return default if value is None else _choice(name, value, kind)

    def choices(self, name: str, kind: type[Choice]) -> frozenset[Choice]:
        return frozenset(self._each(name, lambda value: _choice(name, value, kind)))

    def whole(self, name: str, default: int) -> int:
        """A whole number."""
        value = self.one(name)
        return default if value is None else whole(name, value)

    def seconds(self, name: str) -> float:
        """A duration; 0 when there is none."""
        value = self.one(name)
        if value is None:
            return 0.0
        try:
            return float(parse_duration(value))
        except ValueError as error:
            raise InvalidTask(name, str(error)[:200]) from None

    def task_id(self, name: str) -> str | None:
        value = self.one(name)
        if value is not None and not is_id(value):
            raise InvalidTask(name, f"{value[:_SHOWN]!r} is not the id of a task")
        return value

    def filter(self) -> TaskFilter:
        """The filter that the parameters ask for, and which part of the listing."""
        wanted: dict[str, Any] = {}
        for name, condition in CONDITIONS.items():
            asked = IN_HTTP[name]
            given = self.many(asked) if condition.many else self.one(asked)
            if condition.kind is datetime and isinstance(given, str):
                given = given.replace(" ", "+")  # the plus of a zone may have been read as a space
            wanted[name] = given
        for name in ("sort", "after"):
            wanted[name] = self.one(name)
        for name in ("limit", "offset"):
            value = self.one(name)
            wanted[name] = None if value is None else whole(name, value)
        return task_filter(**{name: one for name, one in wanted.items() if one is not None})

    def _each(self, name: str, convert: Callable[[str], T]) -> Iterable[T]:
        return [convert(value) for value in self.many(name)]


def whole(name: str, value: str) -> int:
    """The whole number in a parameter or a header."""
    digits = value.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 18):
        raise InvalidTask(name, f"{value[:_SHOWN]!r} is not a whole number")
    return int(value)


def _choice(name: str, value: str, kind: type[Choice]) -> Choice:
    try:
        return kind(value)
    except ValueError:
        raise InvalidTask(name, f"{value[:_SHOWN]!r} is none of {', '.join(kind)}") from None

"""Which tasks a listing shows, and in which order."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Generic, TypeVar, Unpack

import msgspec
from msgspec import Struct

from oq.rules import scope
from oq.rules.ids import is_id
from oq.rules.terms import parse_priority
from oq.words.arguments import whole_number
from oq.words.caller import Caller
from oq.words.errors import InvalidTask
from oq.words.task import Priority, Status, TaskState, TaskType
from oq.words.which import CONDITIONS, Wanted, check_keywords, values_of
from oq.words.which import Count as Count

Zoned = Annotated[datetime, msgspec.Meta(tz=True)]

Choice = TypeVar("Choice", bound=StrEnum)
Shown = TypeVar("Shown")

DEFAULT_LIMIT = 1000
MAX_LIMIT = 10_000
MAX_TEXT = 200
"""Characters that may be looked for."""
_MAY_BE_NONE = frozenset({"since", "until", "limit", "offset", "after"})


class Sort(StrEnum):
    """The order of a listing. `queue` lists only pending tasks, in the order in which they will
    run. Those that wait for their `run_at` come last.
    """

    NEWEST = "newest"
    OLDEST = "oldest"
    QUEUE = "queue"


class LinePlace(Struct, frozen=True):
    """Where in the queue a listing goes on: behind the place that this task had, wherever it is by
    now. Written as ``5~ID``, of one that waits for its time ``5~2026-01-31T12:00:00Z~ID``.
    """

    priority: int
    run_at: datetime | None
    task_id: str

    @classmethod
    def of(cls, state: TaskState) -> LinePlace:
        return cls(state.terms.priority, state.run_at, state.id)

    @classmethod
    def parse(cls, text: str) -> LinePlace:
        """InvalidTask."""
        priority, *times, task_id = text.split("~") if "~" in text else ("", text)
        with suppress(ValueError):
            run_at = datetime.fromisoformat(times[0]) if times else None
            aware = run_at is None or run_at.tzinfo is not None
            if len(times) <= 1 and aware and is_id(task_id) and priority.isascii():
                return cls(parse_priority(int(priority)), run_at, task_id)
        raise InvalidTask(
            "after", f"{text[:64]!r} is not a place in the queue; use the Link header"
        )

    def __str__(self) -> str:
        times = [] if self.run_at is None else [self.run_at.isoformat().replace("+00:00", "Z")]
        return "~".join([str(self.priority), *times, self.task_id])


class TaskFilter(Struct, frozen=True, kw_only=True):
    """The conditions of `oq.words.which.Which`, checked, and which part of a listing is wanted.

    Empty sets let everything through. `since` and `until` bound when a task was submitted, the
    latter excluded. `text` is looked for in the id, the model, the metadata and the excerpt of the
    prompt, whatever the case. `after` is the id of the last task already seen, or in the order of
    the queue its place (see `LinePlace`): the listing goes on behind it. `seen_by` is a caller who
    may see some of the tasks only (see `oq.rules.scope`).
    """

    status: frozenset[Status] = frozenset()
    type: frozenset[TaskType] = frozenset()
    priority: frozenset[int] = frozenset()
    model: frozenset[str] = frozenset()
    text: str = ""
    since: datetime | None = None
    until: datetime | None = None
    sort: Sort = Sort.NEWEST
    limit: int = DEFAULT_LIMIT
    offset: int = 0
    after: str | None = None
    seen_by: Caller | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.limit <= MAX_LIMIT:
            raise InvalidTask("limit", f"{self.limit} is not between 1 and {MAX_LIMIT}")
        if self.offset < 0:
            raise InvalidTask("offset", f"{self.offset} is less than 0")
        if self.after is not None and not is_id(self.after):
            if self.sort is not Sort.QUEUE:
                raise InvalidTask("after", f"{self.after[:64]!r} is not the id of a task")
            LinePlace.parse(self.after)
        if len(self.text) > MAX_TEXT:
            raise InvalidTask(
                "q", f"it has {len(self.text)} characters; at most {MAX_TEXT} are allowed"
            )

    def admits(self, state: TaskState) -> bool:
        """Whether its state lets the task through; what it says is for `finds`."""
        return (
            (not self.status or state.status in self.status)
            and (not self.type or state.type in self.type)
            and (not self.priority or state.terms.priority in self.priority)
            and (not self.model or state.terms.model in self.model)
            and (self.since is None or state.created_at >= self.since)
            and (self.until is None or state.created_at < self.until)
            and (self.seen_by is None or scope.may_see(scope.owner_of(state.terms), self.seen_by))
        )

    def finds(self, state: TaskState, excerpt: Callable[[], str]) -> bool:
        """Whether it has the text; `excerpt` is only asked when nothing else has."""
        text, metadata = self.text.casefold(), state.terms.metadata
        return (
            text in state.id
            or text in state.terms.model.casefold()
            or (metadata is not None and text in _said(metadata).casefold())
            or text in excerpt().casefold()
        )

    @property
    def by_status_only(self) -> bool:
        """Whether the counts by status say how many tasks it admits."""
        return not (
            self.type
            or self.priority
            or self.model
            or self.text
            or self.since
            or self.until
            or self.seen_by
        )


def _said(document: bytes) -> str:
    """A JSON document as it reads, however its characters were escaped."""
    if b"\\u" in document:
        document = msgspec.json.encode(msgspec.json.decode(document))
    return document.decode("utf-8", "replace")


class Page(Struct, Generic[Shown], frozen=True):
    """Part of a listing. `next` is what to give as `after` for the next page; None at the end. A
    page is bounded in bytes and in tasks looked at, so it may be short, or empty, and have a next.
    """

    tasks: list[Shown]
    next: str | None


def task_filter(**wanted: Unpack[Wanted]) -> TaskFilter:
    """A filter from what people write; InvalidTask names what is wrong, TypeError a keyword that
    there is not.
    """
    check_keywords(wanted, Wanted.__annotations__)
    given = {
        name: _checked(name, value)
        for name, value in wanted.items()
        if value is not None or name not in _MAY_BE_NONE
    }
    return TaskFilter(**given)


def _checked(name: str, given: Any) -> Any:
    """The value of this keyword as `TaskFilter` has it."""
    condition = CONDITIONS.get(name)
    if condition is None:
        return choice("sort", Sort, given) if name == "sort" else _part(name, given)
    if condition.many:
        return frozenset(_value(name, condition.kind, one) for one in _each(name, given))
    return _value(name, condition.kind, given)


def _part(name: str, given: Any) -> Any:
    """Where a listing begins, and how long it is."""
    return _text(name, given) if name == "after" else whole_number(name, given)


def _value(name: str, kind: type, given: Any) -> Any:
    if kind is Priority:
        return parse_priority(given)
    if kind is datetime:
        return _time(name, given)
    if issubclass(kind, StrEnum):
        return choice(name, kind, given)
    return _text(name, given)


def _time(name: str, value: datetime | str) -> datetime:
    try:
        return msgspec.convert(value, Zoned, strict=False)
    except msgspec.ValidationError:
        raise InvalidTask(
            name, f"{str(value)[:64]!r} is not a time with a zone; write 2026-01-31T12:00:00Z"
        ) from None


def _each(name: str, given: Any) -> Iterable[Any]:
    """What was given, one or several."""
    if isinstance(given, (str, int, Iterable)):
        return values_of(given)
    raise InvalidTask(name, f"{_quoted(given)} is neither one value nor a list of them")


def _text(name: str, value: object) -> str:
    if isinstance(value, str):
        return value
    raise InvalidTask(name, f"{_quoted(value)} is not a text")


def _quoted(value: object) -> str:
    return repr(str(value)[:64])


def choice(name: str, kind: type[Choice], value: str) -> Choice:
    """The member of this value; InvalidTask with all that there are."""
    try:
        return kind(value)
    except ValueError:
        raise InvalidTask(name, f"{str(value)[:64]!r} is none of {', '.join(kind)}") from None

"""Which tasks a listing shows."""

from __future__ import annotations

from msgspec import Struct

from oq.rules.ids import is_id
from oq.words.errors import InvalidTask
from oq.words.task import RawTask, Status, TaskState, TaskType

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
    """Part of a listing. `next` is what to give as `after` for the next page; None at the end."""

    tasks: list[RawTask]
    next: str | None

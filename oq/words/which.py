"""The filter of tasks. `Which` is its one declaration. The query parameters, the body of a bulk
request, the keywords of the library and the options of the CLI are all made from it. The checked
form, which tasks are compared with, is `oq.rules.filters.TaskFilter`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal, TypedDict, get_type_hints

from msgspec import Struct

from oq.words.task import Priority, Readable, Status, TaskType

Order = Literal["newest", "oldest", "queue"]
"""The order of a listing; ``"queue"`` is the order in which the pending tasks will run."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One field of the filter: a line of help, the kind of one value, whether several values are
    allowed, and its name in HTTP if that is different.
    """

    text: str
    kind: type = str
    many: bool = False
    named: str = ""


class Which(TypedDict, total=False):
    """The conditions of a filter. A condition that is not given admits every task.

    `status`, `type`, `priority` and `model` take one value or several. `status` is pending,
    running, completed, failed or cancelled. `type` is chat, generate or embed. `priority` is a
    number or a name. `text` is searched in the id, the model, the metadata and the beginning of the
    prompt. `since` and `until` are times with a zone: only tasks that were submitted at or after
    `since` and before `until`.
    """

    status: Annotated[
        str | Iterable[str], Condition("only tasks in these states", Status, many=True)
    ]
    type: Annotated[
        str | Iterable[str], Condition("only tasks of these types", TaskType, many=True)
    ]
    priority: Annotated[
        int | str | Iterable[int | str],
        Condition(
            "only tasks with these priorities: 0 to 100, or low, normal, high, critical",
            Priority,
            many=True,
        ),
    ]
    model: Annotated[str | Iterable[str], Condition("only tasks for these models", many=True)]
    text: Annotated[
        str,
        Condition(
            "only tasks with this text in the id, model, metadata or beginning of the prompt",
            named="q",
        ),
    ]
    since: Annotated[
        datetime | str | None, Condition("only tasks submitted at or after this time", datetime)
    ]
    until: Annotated[
        datetime | str | None, Condition("only tasks submitted before this time", datetime)
    ]


class Wanted(Which, total=False):
    """The conditions of a filter, and a part of the listing: at most `limit` tasks, without the
    first `offset` tasks, or only those after `after`, the id of the last task that you have.
    """

    limit: int | None
    offset: int | None
    after: str | None
    sort: Order


CONDITIONS: dict[str, Condition] = {
    name: hint.__metadata__[0] for name, hint in get_type_hints(Which, include_extras=True).items()
}
"""The fields of the filter, by the names that they have in the library."""
IN_HTTP: dict[str, str] = {name: one.named or name for name, one in CONDITIONS.items()}
"""The name of each field in HTTP."""


def check_keywords(given: Iterable[str], known: Collection[str]) -> None:
    """TypeError for an unknown keyword, as Python raises it; the message lists the known ones."""
    for name in given:
        if name not in known:
            raise TypeError(f"there is no filter {name!r}; there are {', '.join(sorted(known))}")


def values_of(given: Any) -> Iterable[Any]:
    """The values of a condition that may have several."""
    return given if isinstance(given, Iterable) and not isinstance(given, str) else (given,)


class Count(Readable, Struct, frozen=True):
    """The number of tasks that match. If `exact` is false, there are at least `count` of them."""

    count: int
    exact: bool

"""The filter: which tasks are meant. `Which` is its one declaration. The query parameters, the body
of a bulk request, the keywords of the library and the options of the CLI are all made from it; the
checked form that tasks are held against is `oq.rules.filters.TaskFilter`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal, TypedDict, get_type_hints

from msgspec import Struct

from oq.words.task import Priority, Readable, Status, TaskType

Order = Literal["newest", "oldest", "queue"]
"""The order of a listing; ``"queue"`` is that in which the pending tasks will run."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One field of the filter: a line of help, the kind of one value, whether there may be several
    of them, and its name in HTTP if that is another.
    """

    text: str
    kind: type = str
    many: bool = False
    named: str = ""


class Which(TypedDict, total=False):
    """Which tasks. What is left out lets everything through; those that take several take one, too.

    `status`: pending, running, completed, failed, cancelled. `type`: chat, generate, embed.
    `priority`: numbers or names. `text` is looked for in the id, the model, the metadata and the
    beginning of the prompt. `since` and `until` bound when a task was submitted, the latter
    excluded: times with their zone.
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
            "only these priorities: 0 to 100, or low, normal, high, critical", Priority, many=True
        ),
    ]
    model: Annotated[str | Iterable[str], Condition("only tasks for these models", many=True)]
    text: Annotated[
        str,
        Condition(
            "only those with this text in id, model, metadata or how the prompt begins", named="q"
        ),
    ]
    since: Annotated[
        datetime | str | None, Condition("only those submitted from this time on", datetime)
    ]
    until: Annotated[
        datetime | str | None, Condition("only those submitted before this time", datetime)
    ]


class Wanted(Which, total=False):
    """Which tasks, and which part of their listing: at most `limit` of them, behind the first
    `offset`, or behind `after`: the id of the last one already seen.
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
"""Those names, and what HTTP calls them."""


def check_keywords(given: Iterable[str], known: Collection[str]) -> None:
    """TypeError for a keyword that is not known, as Python raises it, with those that are."""
    for name in given:
        if name not in known:
            raise TypeError(f"there is no filter {name!r}; there are {', '.join(sorted(known))}")


def values_of(given: Any) -> Iterable[Any]:
    """The values of a condition that may have several: one alone stands for itself."""
    return given if isinstance(given, Iterable) and not isinstance(given, str) else (given,)


class Count(Readable, Struct, frozen=True):
    """How many tasks there are of those that were meant: at least so many, unless it is `exact`."""

    count: int
    exact: bool

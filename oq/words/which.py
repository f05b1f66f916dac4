"""Which tasks are meant, in the words of the HTTP API."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Literal, TypedDict

from msgspec import Struct

from oq.words.task import Readable

Order = Literal["newest", "oldest", "queue"]
"""The order of a listing; ``"queue"`` is that in which the pending tasks will run."""


class Which(TypedDict, total=False):
    """Which tasks. What is left out lets everything through; each may be one value or several.

    `text` is looked for in the id, the model, the metadata and the beginning of the prompt. `since`
    and `until` bound when a task was submitted, the latter excluded: times with their zone.
    """

    status: str | Iterable[str]
    type: str | Iterable[str]
    priority: int | str | Iterable[int | str]
    model: str | Iterable[str]
    text: str
    since: datetime | str | None
    until: datetime | str | None


class Count(Readable, Struct, frozen=True):
    """How many tasks there are of those that were meant: at least so many, unless it is `exact`."""

    count: int
    exact: bool

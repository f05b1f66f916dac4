"""One wish about many tasks, and what became of it."""

from __future__ import annotations

from msgspec import Struct

from oq.words.task import Readable


class BulkProblem(Struct, frozen=True):
    """A task of which a wish was not granted, and why."""

    task_id: str
    error: str


class BulkOutcome(Readable, Struct, frozen=True, kw_only=True):
    """Of `matched` tasks the wish was granted for `done`, on disk, and not for `skipped`: mostly
    they have ended meanwhile, or run. `problems` says why, of the first hundred. With `more` there
    are others that match, beyond `queue.max_bulk`.
    """

    matched: int
    done: int
    skipped: int
    problems: list[BulkProblem]
    more: bool = False

"""The outcome of one action on many tasks."""

from __future__ import annotations

from msgspec import Struct

from oq.words.task import Readable


class BulkProblem(Struct, frozen=True):
    """A task that was skipped, and why."""

    task_id: str
    error: str


class BulkOutcome(Readable, Struct, frozen=True, kw_only=True):
    """The outcome of one action on many tasks.

    `matched` is the number of tasks that match. The action was done for `done` of them, and that is
    on disk. It was not possible for `skipped` of them, for example because they have ended
    meanwhile. `problems` says why, for the first 100. `more` means that further tasks match: one
    request changes at most `queue.max_bulk` tasks.
    """

    matched: int
    done: int
    skipped: int
    problems: list[BulkProblem]
    more: bool = False

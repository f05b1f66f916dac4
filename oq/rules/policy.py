"""What a scheduling policy is. A policy keeps the tasks that are ready, and says which of them runs
next, and on which backend. It is pure: the board tells it what happens, and asks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from oq.rules.place import Place
from oq.rules.slots import BackendSlots


class Policy(Protocol):
    """The order of the tasks that are ready: those that wait for nothing but a slot.

    It is made with the backends of the queue, in the order of preference. These records are the
    board's, which keeps them up to date; a policy only reads them.
    """

    def __init__(self, backends: Sequence[BackendSlots]) -> None: ...

    # -- what happened

    def load(self, tasks: Iterable[tuple[str, Place]]) -> None:
        """These tasks are ready at the start of the process. Asked once, before all else."""
        ...

    def add(self, task_id: str, place: Place) -> None:
        """This task is ready from now on. ValueError if it was so before."""
        ...

    def remove(self, task_id: str) -> bool:
        """This task is ready no longer; False if it was not ready."""
        ...

    # -- what is next

    def next(self, now: float) -> tuple[str, str] | None:
        """Take out the task that runs next: its id, and the name of an open backend. None when no
        task may start now. `now` is in seconds of a clock that never goes back.
        """
        ...

    # -- what is where

    def __len__(self) -> int: ...

    def __contains__(self, task_id: str) -> bool: ...

    def position(self, task_id: str) -> int | None:
        """How many-th in line the task is, 1 being the next; None if it is not ready."""
        ...

    def in_line(self, behind: tuple[int, str] | None = None) -> Iterator[str]:
        """The ids in line, the next one first; with `behind`, a priority and an id, those that come
        after the place that such a task has, or would have.
        """
        ...

    def oldest(self) -> str | None:
        """The one of them that was submitted first."""
        ...

    def by_priority(self) -> dict[int, int]:
        """How many are ready at each priority that has any."""
        ...

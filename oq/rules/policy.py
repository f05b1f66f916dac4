"""What a scheduling policy is. A policy keeps the tasks that are ready, and says which of them runs
next, and on which backend. It is pure: the board tells it what happens, and asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

from msgspec import Struct

from oq.rules.fleet import Fleet
from oq.rules.place import Place
from oq.rules.room import Room
from oq.rules.slots import BackendSlots
from oq.words.config import FairnessConfig, SchedulerConfig


class Choice(Struct, frozen=True, gc=False):
    """A task that starts now: its id, its place in line, and the name of its backend."""

    task_id: str
    place: Place
    backend: str


class Policy(Protocol):
    """The order of the tasks that are ready: those that wait for nothing but a slot.

    It is made with the backends of the queue and two sections of the settings. The
    records of the backends are the board's, which keeps them up to date; a policy only reads them.

    The *line* that `position` and `in_line` tell is by priority, the highest first, and inside one
    by id, which is the order of submission. Listings page by it, so all policies share it.
    For ``fifo`` it is the order in which tasks run. A policy whose order depends on the backends
    cannot know that order beforehand: its line says the place by priority and submission, no more.
    """

    counts_tokens: bool
    """Whether it is to be told what each task cost."""

    seconds_each: Callable[[Sequence[BackendSlots], float], float | None]
    """Says how many seconds these backends take for each task in line, as of now; None if that is
    not known. It is set by the board.
    """

    def __init__(
        self, fleet: Fleet, settings: SchedulerConfig, fairness: FairnessConfig
    ) -> None: ...

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

    def ended(
        self, task_id: str, place: Place, backend: BackendSlots, now: float, cost: int | None
    ) -> None:
        """A task that `next` gave out, with this place, has stopped running on this backend,
        whatever came of it: the slot is free already. Told once for each that was given out; it may
        be added again later. `cost` is in tokens, the generated ones twice, if it `counts_tokens`
        and it is known.
        """
        ...

    # -- what is next

    def next(self, now: float) -> Choice | None:
        """Take out the task that runs next, on a backend that may run its model (`Fleet.able`) and
        has room for it (`BackendSlots.room`). No task starts on a backend that one of a higher
        priority waits for. None when no task may start now. `now` is in seconds of a clock that
        never goes back.

        Asked when something has happened, and when it is `due`. So a policy that holds tasks back
        waits for something that it will be told, or says when. When all backends are open, nothing
        runs and nothing is due later, it gives a task out if there is one.
        """
        ...

    def look(self, now: float) -> None:
        """No task may start now, for all workers are taken: time goes on."""
        ...

    def due(self, now: float) -> float:
        """When `next` may give out a task though nothing happens until then; inf if it will not."""
        ...

    def holds_back(self, place: Place, now: float) -> str | None:
        """Why a rule keeps a task from starting though a backend could take it, in a few words;
        None if none does.
        """
        ...

    def is_passed(self, backend: BackendSlots, place: Place, now: float) -> bool:
        """Whether a backend goes on with tasks of models that it has in memory while one with this
        place waits for what runs there to end.
        """
        ...

    # -- what is where

    def __len__(self) -> int: ...

    def __contains__(self, task_id: str) -> bool: ...

    def first(self) -> tuple[str, Place] | None:
        """The first in line."""
        ...

    def place_of(self, task_id: str) -> Place | None:
        """The place of a task that is ready; None if it is not."""
        ...

    def position(self, task_id: str) -> int | None:
        """How many-th in line the task is, 1 being the first; None if it is not ready."""
        ...

    def in_line(self, behind: tuple[int, str] | None = None) -> Iterator[str]:
        """The ids, in the order of the line; with `behind`, a priority and an id, those that come
        after the place that such a task has, or would have.
        """
        ...

    def in_line_if(
        self,
        wanted: Callable[[Place], bool],
        now: float,
        least: int = 0,
        on: Sequence[BackendSlots] | None = None,
    ) -> Iterator[tuple[str, Place]]:
        """The tasks in line that are `wanted` and have this priority at least, with what counts of
        their places. Of tasks that are alike no more are looked at once one is not wanted, so that
        many of them do not hide those behind. With `on` nothing is wanted but what one of these
        backends can run, and no more tasks of a model are looked at once one is not wanted.
        Where the first one that cannot start keeps the only backend, none behind it is looked at
        either; nor are, of many kinds, those whose backends take nothing at all.
        """
        ...

    def room(self, backend: BackendSlots, place: Place, now: float) -> Room:
        """What a backend can do with such a task now, by the rules too."""
        ...

    def share_before(
        self,
        place: Place,
        task_id: str | None,
        older: int,
        seconds: Callable[[str], float],
        now: float,
    ) -> float | None:
        """The share of the work of its priority that starts before this task, or before one with
        this place that would come now, as far as can be said. None if the tasks before it in line
        start before it, which are so many `older` ones. `seconds` says what a task of a model is
        expected to take.
        """
        ...

    def oldest(self) -> str | None:
        """The one of them that was submitted first."""
        ...

    def by_priority(self) -> dict[int, int]:
        """How many are ready at each priority that has any."""
        ...

"""Which ended tasks are kept, and which are to go."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from msgspec import Struct

from oq.rules.ids import time_of


class Ended(Struct, frozen=True, gc=False):
    """An ended task, as the index of these tells it. `unread` says that it is kept until somebody
    has read its result, `place` where it stands in the index.
    """

    task_id: str
    ended_at: datetime
    unread: bool
    place: bytes


@dataclass(frozen=True, slots=True)
class Retention:
    """What is kept, at most. 0 stands for no bound, but of `removed`, where it stands for none."""

    tasks: int
    """Ended tasks, not counting the unread ones."""
    seconds: float
    """Since a task ended."""
    unread: int
    removed: int
    """Removed tasks that are still known by their ids."""
    removed_seconds: float


def surplus(ended: int, keep: int) -> int:
    """How many of `ended` tasks are to go, the oldest first; `keep` 0 keeps them all."""
    return max(0, ended - keep) if keep else 0


class Sweep:
    """One look through the ended tasks, the one that ended first first. `now` is None when the
    clock is not to be relied on: then none is too old.

    A task that ended before it was submitted tells that the clock had been set back meanwhile. It
    is younger than it looks: only `thorough` takes it for what it looks like.
    """

    def __init__(
        self, keep: Retention, ended: int, unread: int, now: datetime | None, *, thorough: bool
    ) -> None:
        self._too_many = surplus(ended - unread, keep.tasks)
        self._too_many_unread = surplus(unread, keep.unread)
        self._limit = None
        if now is not None and keep.seconds:
            self._limit = now - timedelta(seconds=keep.seconds)
        self._now = now
        self._thorough = thorough

    @property
    def too_many(self) -> bool:
        """Whether more are to go because there are too many."""
        return bool(self._too_many or self._too_many_unread)

    def is_over(self, task: Ended) -> bool:
        """Whether neither this task nor any behind it is to go."""
        return not self.too_many and not self._is_past(task.ended_at)

    def takes(self, task: Ended) -> bool:
        """Whether this task is to go."""
        submitted_at = time_of(task.task_id)
        doubtful = task.ended_at < submitted_at
        # A time that is still to come was the wrong one of the two.
        believed = doubtful and self._now is not None and submitted_at <= self._now
        too_old = self._is_past(submitted_at if believed else task.ended_at)
        one_too_many = self._too_many_unread if task.unread else self._too_many
        if not too_old and (not one_too_many or (doubtful and not self._thorough)):
            return False
        if task.unread:
            self._too_many_unread = max(0, self._too_many_unread - 1)
        else:
            self._too_many = max(0, self._too_many - 1)
        return True

    def _is_past(self, time: datetime) -> bool:
        return self._limit is not None and time < self._limit


class PatientClock:
    """The wall clock, for what cannot be undone: it believes a jump forward only when that has
    lasted from one look to the next. A clock that is wrong is often set right soon after the start.
    """

    def __init__(self) -> None:
        self._last: tuple[datetime, float] | None = None

    def look(self, wall: datetime, steady: float) -> datetime | None:
        """The time to rely on; None at the first look. `steady` is the monotonic clock's."""
        last, self._last = self._last, (wall, steady)
        if last is None:
            return None
        return min(wall, last[0] + timedelta(seconds=steady - last[1]))

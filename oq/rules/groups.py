"""The tasks that are ready, by priority and by what has to be in memory for them."""

from __future__ import annotations

from collections.abc import Iterable

from sortedcontainers import SortedList

from oq.rules.place import Place

Alike = tuple[str, str]
"""What tasks of one load group have in common, by their own words: model and options."""


class Groups:
    """The ids of tasks in order, for each priority and each group of tasks that are alike."""

    def __init__(self, tasks: Iterable[tuple[str, Place]] = ()) -> None:
        grouped: dict[int, dict[Alike, list[str]]] = {}
        for task_id, place in tasks:
            groups = grouped.setdefault(place.priority, {})
            groups.setdefault((place.model, place.load), []).append(task_id)
        self._bands: dict[int, dict[Alike, SortedList[str]]] = {
            priority: {alike: SortedList(ids) for alike, ids in groups.items()}
            for priority, groups in grouped.items()
        }

    def priorities(self) -> list[int]:
        """Those that have a task, the highest first."""
        return sorted(self._bands, reverse=True)

    def add(self, task_id: str, place: Place) -> None:
        groups = self._bands.setdefault(place.priority, {})
        groups.setdefault((place.model, place.load), SortedList()).add(task_id)

    def remove(self, task_id: str, place: Place) -> None:
        """KeyError or ValueError if it is not in."""
        groups = self._bands[place.priority]
        ids = groups[place.model, place.load]
        ids.remove(task_id)
        if not ids:
            del groups[place.model, place.load]
        if not groups:
            del self._bands[place.priority]

    def of(self, priority: int) -> list[SortedList[str]]:
        """The ids of each group with this priority, in the order of their first ones."""
        return sorted(self._bands[priority].values(), key=_first)


def _first(ids: SortedList[str]) -> str:
    first: str = ids[0]
    return first

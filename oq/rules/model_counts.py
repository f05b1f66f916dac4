"""How many tasks of each model wait and run now."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from msgspec import Struct

from oq.rules.model_names import one_name
from oq.rules.tallies import OTHERS

MOST_NAMES = 5000
"""Names that are looked at for one answer, those of the longest waiting first. A client may have
made up a million of them."""


class ModelTasks(Struct):
    """Tasks of one model."""

    waiting: int = 0
    running: int = 0


class ModelCounts:
    """Counts the pending tasks by the name that each gives its model."""

    __slots__ = ("_counts", "_total")

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._total = 0

    def add(self, model: str) -> None:
        self._counts[model] = self._counts.get(model, 0) + 1
        self._total += 1

    def remove(self, model: str) -> None:
        """KeyError if there is none."""
        left = self._counts[model] - 1
        self._total -= 1
        if left:
            self._counts[model] = left
        else:
            del self._counts[model]

    def counted(self, running: Iterable[str]) -> dict[str, ModelTasks]:
        """By the one name of each model, with the tasks that run, whose models are given. Those of
        more names than MOST_NAMES are counted as OTHERS.
        """
        found: dict[str, ModelTasks] = {}
        left = self._total
        for model, count in islice(self._counts.items(), MOST_NAMES):
            found.setdefault(one_name(model), ModelTasks()).waiting += count
            left -= count
        for model in running:
            found.setdefault(one_name(model), ModelTasks()).running += 1
        if left:
            found.setdefault(OTHERS, ModelTasks()).waiting += left
        return found

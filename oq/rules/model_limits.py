"""How many tasks of each model a backend gets at once, where the settings say it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Literal

from oq.rules.model_names import NamePattern, one_name

Limit = int | Literal["auto"]
KEPT = 1024
"""Models of which the limit is remembered."""


class ModelLimits:
    """Of one backend. The first pattern that fits a model has its limit, which is for each model by
    itself. `auto`: it has no limit of its own. All names of a model with the same tag are one.
    """

    __slots__ = ("_known", "_limits", "_model_of", "_running")

    def __init__(self, limits: Mapping[str, Limit]) -> None:
        self._limits = [(NamePattern(name), limit) for name, limit in limits.items()]
        self._known: dict[str, int | None] = {}
        self._model_of: dict[str, str] = {}  # of the tasks that run and whose model has a limit
        self._running: Counter[str] = Counter()

    def of(self, model: str) -> int | None:
        """The most tasks of this model at once; None if nothing is said of it."""
        name = one_name(model)
        if name not in self._known:
            if len(self._known) >= KEPT:
                self._known.clear()
            found = next((limit for one, limit in self._limits if one.fits(name)), None)
            self._known[name] = found if isinstance(found, int) else None
        return self._known[name]

    def reached(self, model: str) -> bool:
        """Whether as many tasks of this model run as may."""
        limit = self.of(model)
        return limit is not None and self._running[one_name(model)] >= limit

    def start(self, task_id: str, model: str) -> None:
        """A task of this model starts."""
        if self.of(model) is not None:
            name = self._model_of[task_id] = one_name(model)
            self._running[name] += 1

    def end(self, task_id: str) -> None:
        """A task has stopped running."""
        name = self._model_of.pop(task_id, None)
        if name is None:
            return
        self._running[name] -= 1
        if not self._running[name]:
            del self._running[name]

    @property
    def running(self) -> Mapping[str, int]:
        """How many tasks run of each model that has a limit, by its one name."""
        return self._running

"""The models in the simulated machine's memory: what loading costs, and when one must leave.

As in Ollama: a change of a load option loads the model again, at most so many are loaded at once,
the one used longest ago leaves first, and none leaves while it is in use.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import trio

LOAD_OPTIONS = ("num_ctx", "num_batch", "num_gpu", "main_gpu", "use_mmap", "num_thread")
"""Options that a model is loaded with: another value means loading it again."""


@dataclass(slots=True)
class _Loaded:
    options: tuple[Any, ...]
    ready_at: float
    users: int = 0


class LoadedModels:
    """At most `limit` models, of which each takes `cost` seconds to load."""

    def __init__(self, limit: int, cost: float) -> None:
        self._limit = limit
        self._cost = cost
        self._models: OrderedDict[str, _Loaded] = OrderedDict()
        self._left = trio.lowlevel.ParkingLot()
        self.loads: list[str] = []
        """The model of each load, in order."""

    @property
    def names(self) -> list[str]:
        """What is loaded, the one used longest ago first."""
        return list(self._models)

    @asynccontextmanager
    async def use(
        self, model: str, options: Mapping[str, Any], cost: float | None = None
    ) -> AsyncIterator[float]:
        """Hold the model, loaded with these options; gives the seconds that it took."""
        wanted = tuple(options.get(name) for name in LOAD_OPTIONS)
        began = trio.current_time()
        while not self._place(model, wanted, self._cost if cost is None else cost):
            await self._left.park()
        loaded = self._models[model]
        loaded.users += 1
        try:
            if loaded.ready_at > trio.current_time():
                await trio.sleep_until(loaded.ready_at)
            yield trio.current_time() - began
        finally:
            loaded.users -= 1
            if not loaded.users and loaded.ready_at > trio.current_time():
                del self._models[model]  # nobody waits any more, so the loading is given up
            self._left.unpark_all()

    def unload(self, model: str) -> None:
        """Forget a model that nobody uses."""
        loaded = self._models.get(model)
        if loaded is not None and not loaded.users:
            del self._models[model]
            self._left.unpark_all()

    def _place(self, model: str, options: tuple[Any, ...], cost: float) -> bool:
        """Whether the model has its place in memory, now or already."""
        loaded = self._models.get(model)
        if loaded is not None and loaded.options == options:
            self._models.move_to_end(model)
            return True
        if not self._make_room(model):
            return False
        self._models[model] = _Loaded(options, trio.current_time() + cost)
        self.loads.append(model)
        return True

    def _make_room(self, model: str) -> bool:
        """Whether `model` can be put in, after what must leave for it has left."""
        if model in self._models:
            leaving: str | None = model
        elif len(self._models) < self._limit:
            return True
        else:
            leaving = next((name for name, held in self._models.items() if not held.users), None)
        if leaving is None or self._models[leaving].users:
            return False
        del self._models[leaving]
        return True

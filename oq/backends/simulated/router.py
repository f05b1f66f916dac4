"""Models in memory as llama.cpp's router has them (tools/server/server-models.cpp).

It differs from Ollama: calls that wait for the same model are all let in by one load, options load
nothing again, the idle model used longest ago leaves, and there is no limit to the line. A call
that does not stream runs to its end when its caller has left.
"""

from __future__ import annotations

import math
from typing import Any

import trio

from oq.backends.simulated.loaded import LoadedModels
from oq.backends.simulated.place import Place
from oq.backends.simulated.runner import Runner


class RouterModels(LoadedModels):
    """As `LoadedModels`, for a server that was started with ``--models-max limit``."""

    runs_on = True

    def __init__(self, limit: int, cost: float, **more: Any) -> None:
        super().__init__(limit, cost, **more | {"max_queue": math.inf, "keep_alive": math.inf})

    def _fitting(self, place: Place) -> Runner | None:
        runner = self._runners.get(place.key)
        if runner is not None and runner.died.is_set():
            del self._runners[place.key]
            return None
        return runner

    def _make_room(self, first: Place) -> bool:
        if len(self._runners) < self.limit:
            return True
        now = trio.current_time()
        for runner in self._runners.values():
            if not runner.users and runner.slots.all_free(now):
                del self._runners[runner.key]
                return True
        return False

    def _next_leave(self) -> float:
        idle = (runner for runner in self._runners.values() if not runner.users)
        return min((runner.slots.all_free_at for runner in idle), default=math.inf)

    def _end_load(self, place: Place) -> None:
        super()._end_load(place)
        for other in [one for one in self._line if one.key == place.key]:
            self._line.remove(other)
            self._let_in(other, self._runners[place.key])
        self._advance()

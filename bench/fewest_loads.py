"""The fewest loads that any order can do with: what no policy can beat.

For two models on a server that holds one of them and has a slot for every call. The orders are
those within the bound: nobody passes the oldest task for longer than `most` seconds, and then that
waits for the calls that run at most (`oq.plan.passed`). They start a call at once if its model is
in memory, and do not let the server idle while a task waits. When they change to the other model is
their own choice.

The fewest loads has, but for what is said below, the order that changes as late as it may: when the
time of the oldest task is over, or when the model in memory has nothing to do. Let another order
have made its n-th change no later than this one. Then it has not done more. So others begin to pass
its oldest task no later, and its next change comes no later either. By induction that is so for all
its changes, and with fewer of them it would not be done.

One thing it can do better: it can leave a long call for a later turn of its model, which that call
then keeps busy. So here a turn is made as long as if the longest call of the last minutes were part
of it (`_Line.busy_until`): of all that may be left, by how long a task can wait at most. The number
is then one that no order goes below, though perhaps none reaches it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from math import inf

from oq.plan.machine import Asked


class _Line:
    """The tasks of one model in order of submission, and from which of them on some are left."""

    def __init__(self, tasks: Sequence[Asked], reach: float) -> None:
        self._at = [task.at for task in tasks]
        self._takes = [task.reads + task.writes for task in tasks]
        self._left = list(range(len(tasks)))
        self._reach = reach

    @property
    def oldest(self) -> float:
        """When the first one came that is left; inf if none is."""
        return self._at[self._left[0]] if self._left else inf

    def passes(self, other: float, loaded: float) -> float:
        """When the first starts that came after another task, at this time; inf if none will."""
        later = next((n for n in self._left if self._at[n] > other), None)
        return inf if later is None else max(loaded, self._at[later])

    def busy_until(self, loaded: float) -> float:
        """How long what may be left when the model is in memory can keep it busy; what was left
        when it could have been in memory earlier is among that.
        """
        first = bisect_left(self._at, loaded - self._reach)
        last = bisect_right(self._at, loaded)
        return loaded + max(self._takes[first:last], default=0.0)

    def idle_at(self, loaded: float, after: float) -> float:
        """When it has nothing to do, at or after this time."""
        idle = max(self.busy_until(loaded), after)
        for n in range(bisect_right(self._at, loaded), len(self._at)):
            if self._at[n] > idle:
                break
            idle = max(idle, self._at[n] + self._takes[n])
        return idle

    def drained_at(self, loaded: float, stop: float) -> float:
        """When all has ended that started until this stop."""
        first, last = bisect_right(self._at, loaded), bisect_right(self._at, stop)
        ends = (self._at[n] + self._takes[n] for n in range(first, last))
        return max(stop, self.busy_until(loaded), max(ends, default=0.0))

    def leave(self, stop: float, ended: float) -> None:
        """What came until the stop is done, and so is what came later and had ended by then."""
        self._left = [
            n for n in self._left if self._at[n] > stop and self._at[n] + self._takes[n] > ended
        ]


def fewest_loads(tasks: Sequence[Asked], load: float, most: float) -> int:
    """For tasks of two models in order of submission. `load` is in seconds."""
    longest = max(task.reads + task.writes for task in tasks)
    # A task waits at most until its own model has nothing to do, for the load of the other, until
    # that begins to pass it, as long as it may, until that has ended, and for its load. Then it
    # runs.
    reach = longest + load + longest + most + longest + load + longest
    first = tasks[0].model
    here = _Line([task for task in tasks if task.model == first], reach)
    there = _Line([task for task in tasks if task.model != first], reach)
    loads, loaded = 1, tasks[0].at + load
    while there.oldest < inf:
        oldest = there.oldest
        stop = here.passes(oldest, max(loaded, oldest)) + most
        idle = here.idle_at(loaded, oldest)
        ended = idle if stop == inf else min(idle, here.drained_at(loaded, stop))
        here.leave(min(stop, ended), ended)
        here, there = there, here
        loads, loaded = loads + 1, ended + load
    return loads

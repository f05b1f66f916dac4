"""What is guessed of a waiting task: when it starts, and when it has ended.

By the work before it, over how fast its backends work off what waits (`Pace`); or, for a model that
has not its turn where tasks of models in memory go first, by the turns of the others (`Turns`).
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from math import inf
from typing import NamedTuple

from oq.rules.backlog import Backlog, Lane
from oq.rules.fleet import Fleet
from oq.rules.guesses import Guess
from oq.rules.limited_work import passed, until_free
from oq.rules.model_names import both_names
from oq.rules.pace import Pace
from oq.rules.place import Place
from oq.rules.policy import Policy
from oq.rules.service_times import ServiceTimes
from oq.rules.slots import BackendSlots
from oq.rules.turns import Turns

MANY = 0.9
"""A task passes many if less than this part of the work of those that came sooner is before it."""


class Way(IntEnum):
    """How a guess was made. Each is wrong in its own way, and of a task that has just come in
    another one than of one that has waited, with others behind it, or of one that passes others.
    """

    MEASURED = 0  # by the work before it
    TURNS = 1
    ASSUMED = 2  # by the work before it, when the pace of a backend was not known


class _Standing(NamedTuple):
    """Where a task is among those of its priority: the share of their work that starts before it,
    whether some came later, and whether it starts before many that came sooner.
    """

    before: float = 1.0
    others_later: bool = False
    passes: bool = False


class Guesser:
    """It reads what is known, and looks at no task, so a guess costs the same however many wait.
    What is known is the forecast's, which has taken in all that has happened when it asks. `paces`
    and `turns` are by backend. `by_turns`: tasks of a model in memory may pass others.
    """

    def __init__(
        self,
        fleet: Fleet,
        policy: Policy,
        times: ServiceTimes,
        backlog: Backlog,
        paces: dict[str, Pace],
        turns: dict[str, Turns],
        *,
        by_turns: bool,
    ) -> None:
        self._fleet = fleet
        self._policy = policy
        self._times = times
        self._backlog = backlog
        self._paces = paces
        self._turns = turns
        self._by_turns = by_turns

    def of(self, task_id: str, place: Place, now: float) -> Guess | None:
        """Of a task that is ready, with this place; None if nothing can be told."""
        lane = self._backlog.lane(place.priority)
        if lane is None:  # pragma: no cover - who is in line is in the backlog
            return None
        above = sum(one.count for one in self._backlog.above(place.priority))
        older = max(0, (self._policy.position(task_id) or 1) - above - 1)
        return self._guess(place, self._standing(lane, place, task_id, older, now), now)

    def of_next(self, place: Place, now: float) -> Guess | None:
        """Of one with this place that comes now."""
        lane = self._backlog.lane(place.priority)
        if lane is None:
            return self.of_last(place, now)
        return self._guess(place, self._standing(lane, place, None, lane.count, now), now)

    def of_last(self, place: Place, now: float) -> Guess | None:
        """Of one that starts after all that wait of its priority and of higher ones."""
        return self._guess(place, _Standing(), now)

    def seconds(self, tasks: int, backends: Sequence[BackendSlots]) -> float | None:
        """Seconds until so many tasks have started on these backends, whichever; None while that
        cannot be told.
        """
        usual = self._times.usual
        return None if usual is None else tasks * usual * self._pace(backends)[0]

    # -- how

    def _standing(
        self, lane: Lane, place: Place, task_id: str | None, older: int, now: float
    ) -> _Standing:
        """Of a task before which so many are in line."""
        by_age, others_later = older / lane.count, older < lane.count - 1
        share = self._policy.share_before(place, task_id, older, self._times.of, now)
        if share is None:
            return _Standing(by_age, others_later)
        return _Standing(share, others_later, share < MANY * by_age - 1 / lane.count)

    def _guess(self, place: Place, standing: _Standing, now: float) -> Guess | None:
        if self._times.usual is None or (self._fleet.paused and self._fleet.is_paused(place.model)):
            return None
        fleet = self._fleet
        likely = fleet.likely(place.model) if fleet.several else fleet.backends
        able = [one for one in likely if _works(one, place)]
        if not able:
            return None
        self._backlog.weigh(now)
        before = standing.before
        way, starts = self._turn(place, able, now) or self._in_line(place, before, able)
        starts = max(starts, self._until_free(place, before, able))
        held = min(now if one.held is None else one.held.until for one in able)
        starts = max(starts, held - now)
        situation = 2 * (len(Way) * standing.passes + way) + standing.others_later
        return Guess(situation, starts, starts + self._times.of(place.model))

    def _turn(
        self, place: Place, able: Sequence[BackendSlots], now: float
    ) -> tuple[Way, float] | None:
        """By the turns of the models, unless its model has its turn somewhere."""
        if not self._by_turns:
            return None
        soonest, first = inf, self._policy.first()
        for backend in able:
            wait = self._turns[backend.name].wait(place, now, first, self._backlog)
            if wait is None:
                return None
            soonest = min(soonest, wait)
        return Way.TURNS, soonest

    def _in_line(
        self, place: Place, before: float, able: Sequence[BackendSlots]
    ) -> tuple[Way, float]:
        """By the work until all before it have started and one slot more is free."""
        work, swaps = self._times.usual or 0.0, 0.0
        for lane, share in self._lanes_before(place, before):
            for_these = share * self._backlog.share(lane, able)
            work += for_these * (lane.work - passed(lane, able, self._times.of))
            swaps += for_these * lane.swaps
        for_work, for_swap = self._pace(able)
        known = all(self._paces[one.name].known for one in able)
        return (Way.MEASURED if known else Way.ASSUMED), work * for_work + swaps * for_swap

    def _until_free(self, place: Place, before: float, able: Sequence[BackendSlots]) -> float:
        """By the limit of its model, if it has one on each of these backends."""
        if [one for one in able if one.model_limits is None]:  # mostly
            return 0.0
        lanes = self._lanes_before(place, before)
        names = both_names(place.model)
        of_model = sum(share * lane.counts.get(name, 0) for lane, share in lanes for name in names)
        return until_free(place, of_model, able, self._times.of(place.model))

    def _lanes_before(self, place: Place, before: float) -> list[tuple[Lane, float]]:
        """What is before it: all of the higher priorities, and a share of its own."""
        lanes = [(lane, 1.0) for lane in self._backlog.above(place.priority)]
        mine = self._backlog.lane(place.priority)
        return lanes if mine is None else [*lanes, (mine, before)]

    def _pace(self, backends: Sequence[BackendSlots]) -> tuple[float, float]:
        """Seconds of time for a second of work and for a swap, of all these together."""
        speed = swap = 0.0
        for backend in backends:
            # So many are served at once, as far as can be seen.
            slots, load = max(1, backend.running), self._turns[backend.name].load_time
            for_work, for_swap = self._paces[backend.name].prices(slots, load)
            speed += 1 / max(for_work, 1e-9)
            swap += for_swap
        return 1 / speed, swap / len(backends) ** 2


def _works(backend: BackendSlots, place: Place) -> bool:
    """Whether it is known that tasks with this place start there, sooner or later."""
    return backend.down is None and (backend.outages.quiet or backend.failing(place) is None)

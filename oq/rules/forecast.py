"""When a waiting task will start, and when it will have ended.

First a guess, by what is known (`Guesser`). Then what guesses of its like were wrong by lately
makes an interval of it (`Guesses`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby, islice
from math import inf
from operator import attrgetter

import msgspec
from msgspec import Struct

from oq.rules.backlog import Backlog
from oq.rules.fleet import Fleet
from oq.rules.guesser import Guesser
from oq.rules.guesses import Estimate, Guesses, GuessesRecord
from oq.rules.limited_work import passes_all
from oq.rules.pace import IDLE, Pace, PaceRecord
from oq.rules.place import Place
from oq.rules.policy import Policy
from oq.rules.recalls import Run
from oq.rules.service_times import ServiceTimes, TimesRecord
from oq.rules.slots import BackendSlots
from oq.rules.turns import Turns, TurnsRecord
from oq.words.steps import Kept

FORECAST = "forecast"
"""The name of the record; see `oq.words.steps.Kept`."""
KEEP_EVERY = 60.0
"""Seconds between two records: what was learnt after the last one, a crash may take."""
MOST_RECORDED = 128 * 1024
"""Bytes of a record. Models are left out of a longer one."""
LATER = 0.005
"""Seconds that what has happened may wait to be taken in."""
LOOKED_AT = 64
"""Models of which it is asked whether one of their tasks can start."""
MOST_LATER = 512
"""Tasks that came or started may wait for that."""


_PLACE_AND_BACKEND = attrgetter("place", "backend")


class End(Struct, frozen=True, gc=False):
    """A task has stopped running, after so many seconds; whether it was `served` then."""

    task_id: str
    model: str
    backend: str
    took: float
    at: float
    served: bool


class _Record(Struct, frozen=True, array_like=True):
    """What is kept over a restart, the last two by backend."""

    times: TimesRecord
    guesses: GuessesRecord
    paces: dict[str, PaceRecord]
    turns: dict[str, TurnsRecord]


class Forecast:
    """Whoever tells the policy what happens puts it to `came`, `starts`, `ends` and `emptied`, and
    then says `settle`: to take in many at once is cheap, and so no task pays for it, nor waits for
    it. `max_bypass`: tasks of a model in memory may pass others for so many seconds; None if they
    may not.
    """

    def __init__(self, fleet: Fleet, policy: Policy, max_bypass: float | None = None) -> None:
        self._fleet = fleet
        self._policy = policy
        self._times = ServiceTimes()
        self._backlog = Backlog(self._times, fleet)
        self._paces = {backend.name: Pace() for backend in fleet}
        self._turns = {backend.name: Turns(backend, max_bypass or 0.0) for backend in fleet}
        self._by_turns = max_bypass is not None
        self._guesser = Guesser(
            fleet, policy, self._times, self._backlog, self._paces, self._turns,
            by_turns=self._by_turns,
        )  # fmt: skip
        self._guesses = Guesses()
        self.came: list[Place] = []
        """Tasks that are ready by now, and were not taken in yet; `newest` is the last of them."""
        self.newest: str | None = None
        self.starts: list[Run] = []
        self.ends: list[End] = []
        self.emptied: dict[BackendSlots, tuple[float, float]] = {}
        """Backends on which nothing has run for a moment: from when on the first time, and the last
        time."""
        self._since: float | None = None  # what was not taken in yet is from then on
        self._some_wait = False  # when that happened
        self._kept_at = -inf
        self._news = False

    # -- what happened

    def empties(self, backend: BackendSlots, now: float) -> None:
        """Nothing runs there any more."""
        first, _ = self.emptied.get(backend, (now, now))
        self.emptied[backend] = first, now

    def leaves(self, task_id: str) -> None:
        """If it is ready, it will not be so any more, without having started."""
        place = self._policy.place_of(task_id)
        if place is not None:
            self._note_came()
            self._backlog.remove(place, 1)
            self._guesses.forget(task_id)

    def interrupt(self) -> None:
        """The queue or a model is paused or no longer so, or a backend has gone or come: that tasks
        wait over this moment does not say how fast they are worked off.
        """
        self._take_in_starts()
        self.emptied.clear()
        for pace in self._paces.values():
            pace.interrupt()

    def settle(self, now: float, *, again: bool = False) -> bool:
        """All has started that can now: take in what has happened, or leave it for a little later,
        and, if this is called `again` soon anyway, for then. Now and then note of a task that waits
        when it is expected to start: so it will be known how far that is to be trusted. Whether
        what was learnt is to be kept again now.
        """
        if not (self.starts or self.ends or self.came):
            return False
        if again and len(self.starts) < MOST_LATER:
            return False
        since, some_wait = self._since, bool(self._policy)
        if since is None:
            since = self._since = now
        if (
            now - since < LATER
            and some_wait is self._some_wait
            # What happened before a backend had nothing to do is taken in apart.
            and not (some_wait and any(not backend.running for backend in self.emptied))
            and len(self.came) + len(self.starts) < MOST_LATER  # not more than started ended
            # A guess is of now: a little later may be much later, where little happens.
            and not (some_wait and self.newest is not None and self._guesses.due(now))
        ):
            return False
        self._take_in()
        if (self.newest is not None or self._guesses.some_wait) and self._guesses.due(now):
            self._remember(now)
        return self._news and now - self._kept_at >= KEEP_EVERY

    def _take_in(self) -> None:
        """Take in all that has happened."""
        self._since = None
        self._take_in_starts()
        if self.ends:
            self._note_ends()
        for backend, (_, last) in self.emptied.items():
            if not backend.running:
                self._paces[backend.name].idle(last)
        self.emptied.clear()

    def _take_in_starts(self) -> None:
        self._some_wait = bool(self._policy)
        self._note_came()
        for backend, (first, _) in self.emptied.items():
            self._paces[backend.name].idle(first)
        for end in self.ends:
            if not end.served and end.took > IDLE:  # as canaries are tried while all fail
                self._paces[end.backend].interrupt()
        if self.starts:
            self._note_starts()

    def _note_came(self) -> None:
        """Many that come one after the other have one place, and are counted at once."""
        for place, alike in groupby(self.came):
            self._backlog.add(place.priority, place.model, len(list(alike)))
        self.came.clear()

    def _note_starts(self) -> None:
        """The same of those that start."""
        started = [
            (place, on.name, list(alike))
            for (place, on), alike in groupby(self.starts, _PLACE_AND_BACKEND)
        ]
        for place, _, alike in started:
            self._backlog.start(place, len(alike))
        waits = self._some_wait and self._some_may
        for place, on, alike in started:
            self._note_started(place.model, on, len(alike), alike[-1].at, waits=waits)
        if self._guesses.some_wait:
            for run in self.starts:
                self._guesses.started(run.task_id, run.at)
        self.starts.clear()

    def _note_started(self, model: str, on: str, number: int, now: float, *, waits: bool) -> None:
        """So many that are alike have started on this backend. `waits`: others still do."""
        turns = self._turns[on]
        swap = turns.last != model
        took = self._paces[on].started(
            number, number * self._times.of(model), now,
            swap=swap and not self._by_turns, waits=waits,
        )  # fmt: skip
        if swap:
            turns.swapped(model, took)

    @property
    def _some_may(self) -> bool:
        """Whether some of those that wait are of a model that is not paused."""
        if not self._fleet.paused:  # mostly
            return True
        return any(not self._fleet.is_paused(model) for model, _ in self._backlog.by_model())

    def _some_can(self) -> bool:
        """Whether a backend is up for some of those that wait, by the models that wait longest."""
        fleet = self._fleet
        models = [model for model, _ in islice(self._backlog.by_model(), LOOKED_AT)]
        return not models or any(
            any(one.down is None for one in fleet.likely(model))
            for model in models
            if not fleet.is_paused(model)
        )

    def _note_ends(self) -> None:
        served: dict[str, list[float]] = {}
        for end in self.ends:
            if end.served:
                served.setdefault(end.model, []).append(end.took)
        for model, times in served.items():
            self._times.note(model, times)
            self._news = True
        if self._guesses.some_run:
            for end in self.ends:
                self._guesses.ended(end.task_id, end.at, served=end.served)
        self.ends.clear()

    def _remember(self, now: float) -> None:
        newest, self.newest = self.newest, None
        if newest is not None and newest not in self._policy:
            newest = None
        task_id = self._guesses.wanted(newest, now)
        if task_id is not None and (place := self._policy.place_of(task_id)) is not None:
            guess = self._guesser.of(task_id, place, now)
            if guess is not None:
                self._guesses.remember(task_id, guess, now)

    # -- what is asked

    def of(self, task_id: str, now: float) -> Estimate | None:
        """When a task that is ready starts and ends; None if that cannot be told."""
        place = self._policy.place_of(task_id)
        if place is None:
            return None
        self._take_in()
        guess = self._guesser.of(task_id, place, now)
        return None if guess is None else self._guesses.estimate(guess)

    def of_next(self, place: Place, now: float) -> Estimate | None:
        """When a task that came now would start and end; None if that cannot be told, or if it
        would start at once.
        """
        self._take_in()
        able = self._fleet.likely(place.model)
        tier = min((one.tier for one in able if one.down is None), default=0)
        free = [
            one for one in able if one.tier <= tier and self._policy.room(one, place, now).starts
        ]
        if free and (not self._policy or passes_all(self._policy, self._fleet, free, place, now)):
            return None
        guess = self._guesser.of_next(place, now)
        return None if guess is None else self._guesses.estimate(guess)

    def until_started(self, tasks: int) -> float | None:
        """Seconds until so many tasks have started, whichever, on any backend; None while that
        cannot be told, or if none of those that wait can start as it is now.
        """
        up = [one for one in self._fleet if one.down is None]
        if not up or not self._some_can():
            return None
        return self._guesser.seconds(tasks, up)

    def seconds_each(self, backends: Sequence[BackendSlots], now: float) -> float | None:
        """Seconds that these take for each task in line, by all that has happened until now; None
        while that cannot be told.
        """
        self._take_in()
        return self._guesser.seconds(1, backends)

    def until_empty(self, now: float) -> float | None:
        """Seconds until all that waits or runs has ended, if no more comes; None if that cannot be
        told, or if there is nothing.
        """
        self._take_in()
        latest = self._times.usual if any(one.running for one in self._fleet) else None
        for place in self._backlog.last_of_each():
            guess = self._guesser.of_last(place, now)
            if guess is None:
                return None
            latest = max(latest or 0.0, self._guesses.estimate(guess).ends.p50)
        return latest

    def ready_by_model(self) -> Iterator[tuple[str, int]]:
        """How many tasks are ready of each model; see `Backlog.by_model`."""
        self._take_in()
        return self._backlog.by_model()

    # -- what is kept

    def step(self, now: float) -> Kept:
        """The step by which what was learnt is kept."""
        self._take_in()
        self._kept_at, self._news = now, False
        return Kept(FORECAST, self.record())

    def record(self) -> bytes:
        """What was learnt, for `restore`."""
        models = len(self._times)
        while True:
            kept = _Record(
                self._times.record(models),
                self._guesses.record(),
                {name: pace.record() for name, pace in self._paces.items()},
                {name: turns.record() for name, turns in self._turns.items()},
            )
            record = msgspec.json.encode(kept)
            if len(record) <= MOST_RECORDED or not models:
                return record
            models //= 2

    def restore(self, record: bytes) -> None:
        """What was learnt before the process started. A record that cannot be read is of no use."""
        if not record:
            return
        try:
            known = msgspec.json.decode(record, type=_Record)
        except msgspec.MsgspecError:
            return
        self._times.restore(known.times)
        self._guesses.restore(known.guesses)
        for name in self._paces.keys() & known.paces.keys():
            self._paces[name].restore(known.paces[name])
        for name in self._turns.keys() & known.turns.keys():
            self._turns[name].restore(known.turns[name])

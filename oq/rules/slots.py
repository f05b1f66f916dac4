"""The backends as a policy and the board see them: what each can start now."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from math import inf

from oq.rules.backend_past import BackendPast
from oq.rules.concurrency import Concurrency
from oq.rules.known_at_first import KnownAtFirst
from oq.rules.memory_record import MemoryRecord, restore
from oq.rules.model_limits import Limit, ModelLimits
from oq.rules.model_list import ModelList
from oq.rules.model_names import full_name
from oq.rules.outages import Outages
from oq.rules.place import Place
from oq.rules.residency import Key, Residency
from oq.rules.room import Hold, Known, Room
from oq.words.messages import Busy, Ended
from oq.words.sample import Sample
from oq.words.views import BackendFacts, SlotsSource

ASK_AGAIN = 0.25
"""Seconds between two looks at what a backend has in memory, while it loads a model."""
KEYS = 1024
"""Models whose load group is remembered."""
FIRST_LOOK = 10.0
"""Seconds that a backend has to say at the start which models it has."""
NOT_SAID = "it has not said yet which models it has"


class BackendSlots:
    """One backend: what runs on it, what more it can start, and why it is down or held, if it is.

    `limit` bounds all its tasks together. With a `concurrency` it is learnt how many it serves at
    once; with a `residency` that is learnt of each load group, and what it has in memory is known.
    Without these it starts whatever it has a slot for.
    """

    __slots__ = (
        "_keys", "asked_at", "at_first", "by_options", "concurrency",
        "down", "down_since", "held", "known", "limit", "max_models", "memory_before",
        "model_limits", "models", "name", "names", "outages", "overflow_after", "past",
        "residency", "running", "tier",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        limit: int,
        source: SlotsSource = "set",
        *,
        slots: int | None = None,
        max_models: int | None = None,
        models: Sequence[str] | None = None,
        model_limits: Mapping[str, Limit] | None = None,
        outages: Outages | None = None,
        tier: int = 0,
        overflow_after: float = 0.0,
    ) -> None:
        """`slots`: how many tasks of a model it works on at once, if that is known for sure.
        `models` are patterns of the names that it has, if the settings say them. It gets tasks that
        would wait for `overflow_after` seconds for a backend of a lower `tier`.
        """
        self.name = name
        self.limit = limit
        self.at_first = KnownAtFirst(limit, source, slots)
        self.max_models = max_models
        self.tier, self.overflow_after = tier, overflow_after
        self.models = ModelList(models)
        self.model_limits = ModelLimits(model_limits) if model_limits else None
        self.outages = outages or Outages()
        self.past = BackendPast()
        self.concurrency: Concurrency | None = None
        self.residency: Residency | None = None
        self.memory_before = MemoryRecord()
        """What was learnt of that before oq was started, until it says what it has in memory."""
        self.by_options = source == "measured"
        """Whether the options of a task may make the backend load a model anew."""
        self.running = 0
        self.down: str | None = None
        self.down_since: datetime | None = None
        self.held: Hold | None = None
        self.names: Mapping[str, str] = {}
        """For names of models the one name that stands for all of the same model."""
        self.asked_at = -inf
        """When it was asked last what it has in memory."""
        self.known = Known()
        self._keys: dict[tuple[str, str], Key] = {}
        if source == "guessed" and slots is None:
            self.concurrency = self.at_first.concurrency()
        if source == "measured" or max_models is not None:
            self._manage_memory(0.0)

    @property
    def source(self) -> SlotsSource:
        """How it is known how many tasks it serves at once."""
        return self.at_first.source

    def is_open(self, now: float) -> bool:
        """Whether it may be that a task can be started on it now."""
        if self.down is not None or self.held is not None or self.running >= self.limit:
            return False
        return self.concurrency is None or self.concurrency.allows(now)

    def is_shut(self, now: float) -> bool:
        """Whether no task can be started on it now, whatever its model."""
        until = self.known.taken.get(None, now)
        if until <= now:
            closed = self.down is not None or self.held is not None or self.running >= self.limit
            knows = self.concurrency if self.residency is None else self.residency
            until = inf if closed else -inf if knows is None else knows.opens_at()
            self.known.taken[None] = until
        return until > now

    @property
    def in_trouble(self) -> bool:
        """Whether there may be tasks that it does not get, whatever it has room for."""
        return self.down is not None or self.held is not None or not self.outages.quiet

    @property
    def takes_any(self) -> bool:
        """Whether it is open, and starts whatever comes. It is asked for each task."""
        return (
            self.running < self.limit
            and self.residency is None
            and self.concurrency is None
            and self.down is None
            and self.held is None
            and self.outages.quiet
        )

    @property
    def plain(self) -> bool:
        """Whether nothing of it depends on time, or is tried."""
        learns = self.residency is not None or self.concurrency is not None
        return not learns and self.held is None and self.outages.quiet

    @property
    def starts_all(self) -> bool:
        """Whether no task has to wait for a load, as far as is known."""
        return self.residency is None or self.residency.blind

    @property
    def may_load(self) -> bool:
        """Whether a model that is not in memory could be loaded now, if it has a slot."""
        return self.residency is None or self.residency.may_load

    @property
    def changes(self) -> int:
        """Another number when other tasks than before may be of a model in memory."""
        return len(self.names) + (0 if self.residency is None else self.residency.changes)

    def has_in_memory(self, place: Place) -> bool:
        """Whether the model of a task is in memory, as far as is known."""
        return self.residency is None or self.residency.has(self.key(place))

    def alike(self, one: Place, other: Place) -> bool:
        """Whether tasks with these places share slots."""
        return self.residency is None or self.key(one) == self.key(other)

    def serves(self, place: Place) -> int | None:
        """How many tasks as this one it serves at once; None while that is being found out."""
        concurrency = self.concurrency
        if self.residency is not None:
            concurrency = self.residency.group(self.key(place), place.model).concurrency
        if concurrency is None:
            return self.limit
        found = concurrency.refused is not None or concurrency.served >= concurrency.most
        return min(self.limit, concurrency.served) if found else None

    def share(self, place: Place) -> float:
        """How many tasks run there, beside how many as this one it is known to serve at once."""
        concurrency = self.concurrency_of(place)
        served = self.limit if concurrency is None else min(self.limit, concurrency.served)
        return self.running / served

    def concurrency_of(self, place: Place) -> Concurrency | None:
        """How many tasks as this one it serves at once; None if that is not known, or not asked."""
        if self.residency is None:
            return self.concurrency
        key = self._keys.get((place.model, place.load if self.by_options else ""))
        group = None if key is None else self.residency.groups.get(key)
        return None if group is None else group.concurrency

    def failing(self, place: Place) -> str | None:
        """Why a task is held because others fail; None if it is not."""
        return self.outages.reason(self.model(place.model))

    def failing_since(self, place: Place) -> float | None:
        """Since when a task is held because others fail; None if it is not."""
        return self.outages.since(self.model(place.model))

    def room(self, place: Place, now: float) -> Room:
        """What it can do with a task now, one that waits. `now` is in seconds."""
        if self.down is not None or self.held is not None:
            return Room.CLOSED
        if not (self.outages.quiet or self.outages.allows(self.model(place.model), now)):
            return Room.CLOSED
        if self.model_limits is not None and self.model_limits.reached(place.model):
            return Room.LIMITED
        full = self.running >= self.limit
        if self.residency is not None:
            room = self.residency.room(self.key(place), now)
            return Room.TAKEN if full and room.starts else room
        if full:
            return Room.TAKEN
        if self.concurrency is not None and not self.concurrency.allows(now):
            return Room.TAKEN
        return Room.WARM

    def key(self, place: Place) -> Key:
        """The load group of a task."""
        asked = place.model, place.load if self.by_options else ""
        key = self._keys.get(asked)
        if key is None:
            if len(self._keys) >= KEYS:
                self._keys.clear()
            key = self._keys[asked] = self.model(place.model), asked[1]
            # A model that came lately may be a copy of one that is known.
            if self.names and full_name(place.model) not in self.names:
                self.models.wanted = True
            if self.residency is not None:
                self.residency.group(key, place.model)
        return key

    def model(self, name: str) -> str:
        """The one name of this model."""
        full = full_name(name)
        return self.names.get(full, full)

    # -- what happened

    def take(self, task_id: str, place: Place, now: float) -> bool:
        """A task starts on it; whether it is to be told how the task is served."""
        assert self.running < self.limit, f"a task starts on {self.name}, which has no slot for it"
        self.running += 1
        self.known.forget()
        if self.model_limits is not None:
            self.model_limits.start(task_id, place.model)
        if self.residency is not None:
            self.residency.start(task_id, self.key(place), place.model, now)
            return True
        if self.concurrency is not None:
            self.concurrency.start(task_id, now)
            return True
        return False

    def try_out(self, task_id: str, place: Place, now: float) -> bool:
        """Whether a task that starts on it is a canary."""
        return self.outages.start(task_id, self.model(place.model), now)

    def note_end(self, task_id: str, place: Place, ended: Ended, now: float) -> None:
        """How a task ended, which may say that the backend is out of order, or in order again."""
        model = self.model(place.model)
        if ended.failed is not None:
            self.outages.failed(task_id, model, ended.failed, now, begun=ended.begun)
        elif ended.busy is not None:
            self.outages.busy(task_id, ended.busy.reason, now)
        elif ended.served:
            self.outages.served(model)
        else:
            self.outages.left(task_id, now)

    def answered(self, task_id: str, place: Place, now: float) -> None:
        """The answer to a task that runs on it has begun."""
        self.known.forget()
        if not self.outages.quiet:
            self.outages.answered(self.model(place.model))
        if self.residency is not None:
            self.residency.answered(task_id, now)
        elif self.concurrency is not None:
            self.concurrency.answered(task_id)

    def give_back(self, task_id: str, now: float, sample: Sample | None = None) -> bool:
        """A task that ran on it has stopped, with a sample if it was served to its end. Whether
        something was learnt.
        """
        assert self.running > 0, f"a slot of {self.name} is given back twice"
        self.running -= 1
        self.known.forget()
        if self.model_limits is not None:
            self.model_limits.end(task_id)
        if self.residency is not None:
            return self.residency.end(task_id, now, sample)
        if self.concurrency is not None:
            return self.concurrency.end(task_id, now, sample)
        return False

    def hold(self, busy: Busy, now: float, delay: Callable[[int, float | None], float]) -> None:
        """It takes nothing now: see `Board.hold`."""
        tried = self.outages.tried
        until = now + max(self.outages.pause(tried), delay(tried + 1, busy.seconds))
        if self.held is None or (busy.seconds is not None and self.held.until < until):
            self.held = Hold(f"it is busy: {busy.reason}", until)

    def await_models(self, now: float) -> None:
        """It gets nothing until it has said which models it has."""
        if self.models.patterns is None:
            self.held = Hold(NOT_SAID, now + FIRST_LOOK)

    def restarted(self, now: float) -> None:
        """It may have lost its memory, and have other settings now."""
        self.models.forget_lacks()
        self.outages.restarted(now)
        self.at_first.anew = True
        if self.residency is not None:
            self.residency.forget(now)
        elif self.concurrency is not None:
            self.concurrency.restarted(now)

    def note_facts(self, facts: BackendFacts, now: float, asked_at: float | None = None) -> bool:
        """What it says of itself, asked at that time, or just now; whether news were learnt."""
        if self.held is not None and self.held.reason == NOT_SAID:
            self.held = None
        listed = facts.models is not None and self.models.note(facts.models, now)
        return self._note_memory(facts, now, now if asked_at is None else asked_at) or listed

    def _note_memory(self, facts: BackendFacts, now: float, asked_at: float) -> bool:
        names = {full_name(name): digest for name, digest in facts.digests.items()}
        if not names.items() <= self.names.items():
            self._rename(names, now)
        anew = self.at_first.anew and not facts.incomplete
        told = self.at_first.note(facts, self.model)
        if told:
            self._use_told()
        if facts.loaded is None:
            return told
        residency = self.residency or self._manage_memory(now)
        if self.max_models is None and (anew or facts.max_models is not None):
            residency.told = facts.max_models
        loaded = {self.model(name): name for name in facts.loaded}
        return residency.note(loaded, asked_at)

    def _rename(self, names: Mapping[str, str], now: float) -> None:
        """These names stand for these models, by their digests."""
        before, self.names = self.names, {**self.names, **names}
        self._keys.clear()
        now_of = {same: self.model(name) for name, same in before.items()}
        now_of |= {same: same for same in self.names.values()}  # what some name still stands for
        self.outages.rename(lambda model: now_of.get(model) or self.model(model))
        if self.residency is not None:
            self.residency.rename(self.model, now)

    # -- what time brings

    def settle_time(self, now: float) -> None:
        """Do what is due by now."""
        self.known.forget()
        if self.held is not None and self.held.until <= now:
            self.held = None

    def due(self, now: float) -> float:
        """When something will be due; inf if nothing will."""
        return self.outages.due(now) if self.held is None else self.held.until

    def try_at(self, now: float) -> float:
        """When it can be tried with one more task than it has, if one waits; inf for not now."""
        if self.down is not None or self.held is not None or self.running >= self.limit:
            return inf
        if self.residency is not None:
            tried = [one.concurrency.allowed_at() for one in self.residency.loaded]
            return min((time for time in tried if time > now), default=inf)
        time = inf if self.concurrency is None else self.concurrency.allowed_at()
        return time if time > now else inf

    def look_at(self, *, waits: bool) -> float:
        """When to ask what it has in memory: a task `waits`, or a load is long; inf for never."""
        residency = self.residency
        if residency is None or self.down is not None:
            return inf
        depends = waits and (residency.load or residency.check) is not None
        return max(self.asked_at + ASK_AGAIN, -inf if depends else residency.doubtful_at())

    # -- how it is known

    def _manage_memory(self, now: float) -> Residency:
        """From now on it is known what is in its memory."""
        self.concurrency = None
        first = self.at_first
        self.limit = first.most
        residency = Residency(self.max_models, first.concurrency, eager=first.source == "set")
        restore(residency, self.memory_before, self.model, now)
        self.residency = residency
        return residency

    def _use_told(self) -> None:
        """It says another number than before, or none any more."""
        first = self.at_first
        if self.residency is not None:
            for group in self.residency.groups.values():
                group.concurrency = first.again(group.concurrency, group.key[0])
            return
        self.limit = first.limit()
        known = self.concurrency or first.concurrency()
        self.concurrency = None if self.limit == 1 else first.again(known)

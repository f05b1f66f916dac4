"""Which load groups a backend has in memory, and when another one may be loaded.

A load group is a model with the options that it is loaded with. A backend has room for `most` of
them; where nobody says how many, that is learnt. If there is no room, a task of another group is a
*swap*: it waits until one of those in memory has nothing to do, which then leaves for it. If oq
handed it over before, the backend would let the tasks of loaded models pass it by, for as long as
they come. One load at a time: those behind it would wait inside the backend.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from math import inf

from oq.rules.concurrency import Concurrency
from oq.rules.room import Room
from oq.words.sample import Sample

Key = tuple[str, str]
"""A load group: its model, by one of its names, and the options that it is loaded with."""

SILENT = 5.0
"""Seconds, and twice the known time of a load: if a model that is to be loaded is silent for so
long while others run, and is not in memory then, there is no room for it."""
LATE = 5.0
"""So many seconds after a load it is not known any more what left for it, and what by itself."""
USED = 60.0
"""A model that was used so many seconds ago leaves the memory for another one only."""
KEPT = 256
"""Groups of which something is remembered."""


@dataclass(slots=True)
class Group:
    """One load group. `name` is a name that tasks have for its model. `loaded`: it is in memory, as
    far as is known. `unlisted`: the backend lists its model under a name that nobody knows, so its
    lists say nothing of it. `load_time` is in seconds.
    """

    key: Key
    name: str
    concurrency: Concurrency
    loaded: bool = False
    unlisted: bool = False
    used_at: float = -inf
    load_time: float | None = None

    def __str__(self) -> str:
        return f"{self.name} ({self.key[1]})" if self.key[1] else self.name


@dataclass(slots=True)
class Load:
    """A load under way: the task that it is for, and when that was sent. `alone`: another group has
    left for it, so nothing else is sent until it is done. `before` are the models that were in
    memory and had been used lately. `doubted`: a list of what is in memory has left it out. It was
    done at `done_at`.
    """

    group: Group
    task_id: str
    at: float
    alone: bool
    before: frozenset[str]
    doubted: bool = False
    done_at: float = -inf


class Residency:
    """The load groups of one backend. `told` is how many it has room for, if somebody has said so.
    `serves` makes what is known of how many tasks of a model it serves at once. `eager`: tasks of a
    group are sent while it is being loaded, too.
    """

    def __init__(
        self, told: int | None, serves: Callable[[str], Concurrency], *, eager: bool = False
    ) -> None:
        self.told = told
        self.blind = False
        """Whether it lists nothing while it runs a model: then its lists say nothing."""
        self.learnt: int | None = None
        """How many there is room for, as it has turned out."""
        self.groups: OrderedDict[Key, Group] = OrderedDict()
        self.changes = 0
        """How many times something has come into the memory, or left it."""
        self._live: dict[int, Group] = {}  # those in memory, and those that run; used last: last
        self.load: Load | None = None
        self.check: Load | None = None
        """A load that is done, after which nobody has looked yet what is in memory."""
        self._serves = serves
        self._eager = eager
        self._group_of: dict[str, Group] = {}
        self._loading: set[str] = set()  # tasks that run for which a model had to be loaded

    @property
    def most(self) -> int | None:
        return self.told if self.told is not None else self.learnt

    def group(self, key: Key, name: str | None = None) -> Group:
        """The group with this key. `name` is a name of its model."""
        group = self.groups.get(key)
        if group is None:
            group = self.groups[key] = Group(key, name or key[0], self._serves(key[0]))
            self._forget_some()
        return group

    def room(self, key: Key, now: float) -> Room:
        """What can be done with a task of this group, one that waits."""
        group = self.group(key)
        if not self.blind and self._is_taken(group):
            return Room.DRAINING
        load = self.load
        loads_it = load is not None and load.group is group
        if group.loaded or self.blind or (loads_it and self._eager):
            if load is not None and load.alone and not loads_it:
                return Room.DRAINING
            return Room.WARM if group.concurrency.allows(now) else Room.TAKEN
        return Room.DRAINING if load is not None else self._room_to_load(group)

    def has(self, key: Key) -> bool:
        """Whether a task of this group needs no load, as far as is known."""
        group = self.groups.get(key)
        loads_it = self._eager and self.load is not None and self.load.group is group
        return self.blind or loads_it or (group is not None and group.loaded)

    @property
    def may_load(self) -> bool:
        """Whether a group that is not in memory could be loaded now."""
        if self.load is not None:
            return False
        if self.most is None or len(self._live) < self.most:
            return True
        return not all(group.concurrency.running for group in self._live.values())

    def opens_at(self) -> float:
        """When it may be that a task can be started, if nothing happens until then."""
        live, load = self._live.values(), self.load
        if self.blind or self.may_load or (load is None and not all(one.loaded for one in live)):
            return -inf
        loads = load.group if load is not None and self._eager else None
        opens = (one.concurrency.opens_at() for one in live if one.loaded or one is loads)
        return min(opens, default=inf)

    def start(self, task_id: str, key: Key, name: str, now: float) -> None:
        """A task of this group is sent. `name` is its name for the model."""
        group = self.group(key)
        group.name = name
        self._group_of[task_id] = group
        group.concurrency.start(task_id, now)
        group.used_at = now
        self.groups.move_to_end(key)
        self._live.pop(id(group), None)
        self._live[id(group)] = group
        if group.loaded or self.blind or (self.load is not None and self.load.group is group):
            self._set(group, loaded=group.loaded or self.blind)
            return
        self._loading.add(task_id)
        before = frozenset(
            one.key[0] for one in self._live.values() if one.loaded and now - one.used_at < USED
        )
        self.load = Load(group, task_id, now, self._make_room(group), before)
        self.changes += 1

    def answered(self, task_id: str, now: float) -> None:
        """Its answer has begun: its group is in memory."""
        group = self._group_of.get(task_id)
        if group is not None:
            group.concurrency.answered(task_id)
            self._loaded(group, task_id, now)

    def end(self, task_id: str, now: float, sample: Sample | None) -> bool:
        """It has ended, with a sample if it was served to its end. Whether something was learnt."""
        group = self._group_of.pop(task_id, None)
        if group is None:  # it was sent before anybody kept account
            return False
        group.used_at = now
        loaded_it = self.load is not None and self.load.task_id == task_id
        if sample is not None:
            if loaded_it:
                group.load_time = sample.load or group.load_time
            self._loaded(group, task_id, now)
        elif loaded_it:
            self.load = None
            self.changes += 1
        had_to_load = task_id in self._loading
        self._loading.discard(task_id)
        learnt = group.concurrency.end(task_id, now, sample, loaded=had_to_load)
        self._set(group, loaded=group.loaded)
        return learnt

    def note(self, models: Mapping[str, str], asked_at: float) -> bool:
        """These models are in memory, in the order of the backend's list, each with a name that it
        has there. Whether it was learnt how many there is room for. It was asked at that time: what
        was loaded or used since may be missing.
        """
        before = self.learnt
        if self.check is not None and self.check.done_at > asked_at:
            return False
        if self.check is not None and self._leaves_out(self.check, models):
            return False
        self.blind = self.blind and not models
        if self.blind:
            return False
        for group in self.groups.values():
            group.unlisted = group.unlisted and group.key[0] not in models
            loading = self.load is not None and self.load.group is group
            gone = group.key[0] not in models and not group.unlisted
            gone = gone and group.used_at <= asked_at
            if gone and not loading and not group.concurrency.running:
                self._set(group, loaded=False)
        for model, name in models.items():
            self._note_one(model, name, asked_at)
        check, self.check = self.check, None
        if check is not None and asked_at - check.done_at <= LATE:
            unlisted = {group.key[0] for group in self.groups.values() if group.unlisted}
            if models and check.before - models.keys() - unlisted - {check.group.key[0]}:
                self.learnt = len(models)
        if asked_at >= self.doubtful_at():
            self._be_full()
        if self.learnt is not None:
            self.learnt = max(self.learnt, len(models))
        self._trim([group for group in self.loaded if group.key[0] in models])
        return self.learnt != before

    def _leaves_out(self, check: Load, models: Collection[str]) -> bool:
        """Whether the list lacks a model that answers just now, so that it is not to be believed.
        One such list may be from before the answer began: the next one tells.
        """
        group = check.group
        if group.key[0] in models or group.unlisted or not group.concurrency.answering:
            return False
        if not check.doubted:
            check.doubted = True
            return True
        group.unlisted = bool(models)
        self.blind = not models and self.told is None
        self.changes += 1
        if self.blind:
            self.check = None
        return self.blind

    def rename(self, model_of: Callable[[str], str], now: float) -> None:
        """It turns out which names mean the same model: some groups are one from now on."""
        groups = list(self.groups.values())
        names = {group.key[0]: model_of(group.name) for group in groups}
        for load in (self.load, self.check):
            if load is not None:
                load.before = frozenset(names.get(model, model) for model in load.before)
        self.groups.clear()
        self.changes += 1
        for group in sorted(groups, key=lambda one: one.used_at):
            group.key = model_of(group.name), group.key[1]
            known = self.groups.pop(group.key, None)
            self.groups[group.key] = group
            if known is not None:
                self._merge(group, known, now)

    def _merge(self, group: Group, other: Group, now: float) -> None:
        """The other one is the same: what is known of it, and what runs of it, is the group's."""
        group.loaded = group.loaded or other.loaded
        self._live.pop(id(other), None)
        group.unlisted = False
        group.load_time = group.load_time or other.load_time
        group.concurrency.adopt(other.concurrency, now)
        for task_id, one in self._group_of.items():
            if one is other:
                self._group_of[task_id] = group
        self._set(group, loaded=group.loaded)
        for load in (self.load, self.check):
            if load is not None and load.group is other:
                load.group = group

    def _be_full(self) -> None:
        """There is no room for what is being loaded."""
        load = self.load
        assert load is not None, "there is room for what is not being loaded"
        load.alone = True
        others = self._others(load.group)
        self.learnt = max(1, sum(one.concurrency.running > 0 for one in others))
        for one in others:  # what has nothing to do would have left by now
            self._set(one, loaded=one.loaded and one.concurrency.running > 0)

    def doubtful_at(self) -> float:
        """From when on there is no room for what is being loaded if it is not in memory then; inf
        if nothing says so. It may be in memory and silent: it reads a long prompt.
        """
        load = self.load
        if load is None or load.alone or self.told is not None:
            return inf
        if not any(one.concurrency.running for one in self._others(load.group)):
            return inf
        return load.at + max(SILENT, 2 * (load.group.load_time or 0.0))

    def forget(self, now: float) -> None:
        """The backend may have lost its memory."""
        self.load = self.check = None
        self.blind = False
        for group in self.groups.values():
            self._set(group, loaded=False)
            group.concurrency.restarted(now)

    @property
    def live(self) -> Collection[Group]:
        """Those in memory, those that run, and the one that is being loaded."""
        return self._live.values()

    @property
    def loaded(self) -> list[Group]:
        return [group for group in self._live.values() if group.loaded]

    def _set(self, group: Group, *, loaded: bool) -> None:
        """It is in memory, or not."""
        self.changes += group.loaded is not loaded
        group.loaded = loaded
        if loaded or group.concurrency.running:
            self._live.setdefault(id(group), group)
        else:
            self._live.pop(id(group), None)

    def _is_taken(self, group: Group) -> bool:
        """Whether tasks of as many other groups run as there is room for. They may have been sent
        when it was not known how many that are: the backend would go on loading one group after the
        other if more tasks of each came.
        """
        most = self.most
        if most is None or len(self._live) < most:
            return False
        return sum(one.concurrency.running > 0 for one in self._others(group)) >= most

    def _others(self, group: Group) -> list[Group]:
        """What is in memory, or runs, beside this one."""
        return [one for one in self._live.values() if one is not group]

    def _room_to_load(self, group: Group) -> Room:
        """Whether it can be loaded now, and whether one leaves for it: as it is not taken, one of
        those that would have to leave has nothing to do.
        """
        others = self._others(group)
        for one in others:
            if one.key[0] == group.key[0]:  # the same model, to be loaded anew
                return Room.DRAINING if one.concurrency.running else Room.SWAP
        return Room.COLD if self.most is None or len(others) < self.most else Room.SWAP

    def _make_room(self, group: Group) -> bool:
        """What leaves for this group is out of memory; whether there is any."""
        others = [one for one in self.loaded if one is not group]
        same = [one for one in others if one.key[0] == group.key[0]]
        for one in same:
            self._set(one, loaded=False)
        if same:
            return True
        if self.most is None or len(others) < self.most:
            return False
        for one in others:  # the one used longest ago first
            if not one.concurrency.running:
                self._set(one, loaded=False)
                break
        return True

    def _loaded(self, group: Group, task_id: str, now: float) -> None:
        """The group of this task is in memory."""
        self._set(group, loaded=True)
        load = self.load
        if load is not None and load.task_id == task_id:
            self.load, self.check = None, load
            load.done_at = now
        self._trim([group])

    def _trim(self, sure: Collection[Group]) -> None:
        """There is no room for more than `most`: if more seem to be in memory, some must have left.
        These are in it for sure; of the others those that answer stay, and what was used last.
        """
        most = KEPT if self.most is None else self.most
        loaded = self.loaded
        doubtful = [one for one in loaded if one not in sure and not one.concurrency.answering]
        for one in doubtful[: max(0, len(loaded) - most)]:
            self._set(one, loaded=False)

    def _note_one(self, model: str, name: str, asked_at: float) -> None:
        """This model was in memory then: with the options that it was loaded with last."""
        load = self.load
        if load is not None and load.group.key[0] == model:
            if model not in load.before:  # else it may be the one that is loaded anew
                self._loaded(load.group, load.task_id, asked_at)
            return
        known = [one for one in self.groups.values() if one.key[0] == model]
        if not any(one.loaded for one in known):
            group = known[-1] if known else self.group((model, ""), name)
            self._set(group, loaded=True)

    def _forget_some(self) -> None:
        for key, group in list(self.groups.items())[:-1]:
            if len(self.groups) <= KEPT:
                break
            if not (group.loaded or group.concurrency.running):
                del self.groups[key]

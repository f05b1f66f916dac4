"""The backends of a queue: which of them can run the tasks of a model, and when they are asked what
they have.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from math import inf

from msgspec.structs import replace

from oq.rules.conversations import Conversations
from oq.rules.model_list import LACKS
from oq.rules.model_names import one_name
from oq.rules.slots import BackendSlots
from oq.words.messages import Look
from oq.words.views import BackendFacts

Route = tuple[bool | None, ...]
"""Of each backend whether it has a model. Models of one route can be run by the same backends at
any time."""
REMEMBERED = 1024
"""Models of which it is remembered who can run them."""


class Fleet:
    """In the order of the settings, which is that of preference. `changed` has to be called when a
    backend goes down or comes up, and when it becomes known which models one has.
    """

    def __init__(self, backends: Sequence[BackendSlots], max_conversations: int = 0) -> None:
        self.backends = tuple(backends)
        self.several = len(self.backends) > 1
        """It is asked for each task."""
        self.tiered = len({backend.tier for backend in backends}) > 1
        self.by_name = {backend.name: backend for backend in backends}
        self.paused: frozenset[str] = frozenset()
        """The models whose tasks do not start, by `one_name`."""
        self._able: dict[str, tuple[BackendSlots, ...]] = {}
        self._above: dict[str, tuple[BackendSlots, ...]] = {}
        self._elsewhere: dict[tuple[str, str], bool] = {}
        self.lists_wanted = False
        """Whether one is to be asked which models it has."""
        self.settle_at = inf
        """When `settle_time` is to be called."""
        self.workers = inf
        """The most tasks that run at once, on all of them together: the board sets it."""
        self.conversations = Conversations(max_conversations)
        self.changes = 0
        """How many times it may have become another one that can run a model."""

    def __iter__(self) -> Iterator[BackendSlots]:
        return iter(self.backends)

    def __len__(self) -> int:
        return len(self.backends)

    def note_lack(self, backend: BackendSlots, model: str, now: float) -> None:
        """This backend says that it has not this model. If it was believed to have it, the lists of
        the others may be of before it lost it, and one of them may have got it since.
        """
        if backend.models.has(model):
            for one in self._lists_beside(backend):
                one.models.doubt()
        backend.models.note_lack(model, now)
        self.lists_wanted = True
        self.settle_at = min(self.settle_at, now + LACKS)
        self.changed()

    def note_facts(
        self, backend: str, facts: BackendFacts, now: float, asked_at: float | None, *, full: bool
    ) -> bool:
        """What a backend says of itself, to a question of that time. `full`: it was asked for its
        models, too. Whether something was learnt.
        """
        slots = self.by_name[backend]
        if not self.several:  # it gets all tasks, whatever it has
            facts = replace(facts, models=None)
        elif full and facts.models is None:
            slots.models.note_silent()
        return slots.note_facts(facts, now, asked_at)

    def settle_time(self, now: float) -> None:
        """Do what is due by now: what backends lacked is believed no more, and lists that are late
        are waited for no longer.
        """
        for backend in self.backends:
            backend.models.forget_lacks(now)
        self.settle_at = min(backend.models.next_at(now) for backend in self.backends)
        self.changed()

    def able(self, model: str, now: float) -> tuple[BackendSlots, ...]:
        """Those that may run tasks of this model, or will when they are up.

        They are those that have it. If none is known to, the lists are read anew, and it is nobody
        until they have come, or are late. If there is still none, it is those that do not say what
        they have; then those that have it by their lists, though they lacked it a moment ago; and
        if no such one is up, it is all: what one of them answers is the answer then. While a model
        is paused nobody may run its tasks. Of several tiers it is the lowest of which one is up.
        """
        if self.paused and self.is_paused(model):
            return ()
        if not self.several:
            return self.backends
        able = self._able.get(model)
        if able is not None:
            return able
        able = self._known(model)
        if not able:
            old = [one for one in self.backends if one.down is None and one.models.is_old(now)]
            until = [one.models.renew(now) for one in old]
            self.lists_wanted |= any(one.models.wanted for one in old)
            late = min((time for time in until if time > now), default=None)
            if late is not None:
                self.settle_at = min(self.settle_at, late)
                return ()
            able = self._first_tier(self._unsure(model))
            if any(one.models.said for one in self.backends):
                return able  # for as long as the lists are new
        if len(self._able) >= REMEMBERED:
            self._able.clear()
        self._able[model] = able = self._first_tier(able)
        return able

    def serves(self, model: str, now: float) -> bool:
        """Whether one of those that may run tasks of this model is up."""
        return any(one.down is None for one in self.able(model, now))

    def route(self, model: str) -> Route:
        """The route of this model, as long as `changes` is the same. While it is paused it has the
        one that leads nowhere.
        """
        if self.paused and self.is_paused(model):
            return ()
        if not self.several:
            return (True,)
        return tuple(one.models.has(model) for one in self.backends)

    def shuts_out(self, model: str, now: float, on: Collection[BackendSlots]) -> bool:
        """Whether each of those `on` that may run this model takes no task at all now."""
        return not any(one in on and takes_some(one, now) for one in self.able(model, now))

    def above(self, model: str) -> tuple[BackendSlots, ...]:
        """Those of higher tiers that have this model, as far as is known, the lowest first."""
        if not self.tiered or (self.paused and self.is_paused(model)):
            return ()
        above = self._above.get(model)
        if above is None:
            if len(self._above) >= REMEMBERED:
                self._above.clear()
            likely = self.likely(model)
            first = self._first_tier(likely)
            having = (one for one in likely if one.models.has(model) is not False)
            above = tuple(sorted((one for one in having if one not in first), key=_tier))
            self._above[model] = above
        return above

    def _first_tier(self, backends: tuple[BackendSlots, ...]) -> tuple[BackendSlots, ...]:
        if not self.tiered:
            return backends
        first = min((one.tier for one in backends if one.down is None), default=inf)
        return tuple(one for one in backends if one.tier <= first)

    def ask_again(self, now: float, changed: str | None) -> set[str]:
        """Have this backend asked anew which models it has, as they have `changed`, or else all
        that are up, but not again and again. The names of those that will say it.
        """
        if changed is None:
            up = [one for one in self.backends if one.down is None]
            asked = {one.name for one in up if one.models.ask(now)}
        else:
            asked = {changed} if self.by_name[changed].models.note_change() else set()
            self.changed()
        self.lists_wanted |= bool(asked)
        return asked

    def looks(self, now: float, *, waits: bool) -> list[Look]:
        """The backends that are to be asked now which models they have, or what they have in
        memory; whether something `waits` decides how often. They count as asked.
        """
        found: list[Look] = []
        for backend in self.backends:
            if self.list_due(backend, waits=waits) <= now:
                backend.asked_at = now
                backend.models.note_asked(now)
                found.append(Look(backend.name, full=True))
            elif backend.look_at(waits=waits) <= now:
                backend.asked_at = now
                found.append(Look(backend.name))
        self.lists_wanted = any(backend.models.wanted for backend in self.backends)
        return found

    def list_due(self, backend: BackendSlots, *, waits: bool) -> float:
        """When this backend is to be asked which models it has. `waits`: something does."""
        if backend.down is not None:
            return inf
        return backend.models.due(often=waits and self.some_down)

    def pause(self, model: str, *, paused: bool) -> None:
        """No task of this model starts from now on, or they do again."""
        self.paused = self.paused | {model} if paused else self.paused - {model}
        self.changed()

    def is_paused(self, model: str) -> bool:
        """Whether the tasks of this model do not start, for its user wants that."""
        return one_name(model) in self.paused

    def likely(self, model: str) -> tuple[BackendSlots, ...]:
        """The same as far as it is known now: nobody is asked, and nobody waits."""
        return self._known(model) or self._unsure(model)

    def _known(self, model: str) -> tuple[BackendSlots, ...]:
        """Those that have it."""
        return tuple(one for one in self.backends if one.models.has(model))

    def _unsure(self, model: str) -> tuple[BackendSlots, ...]:
        """Those that are asked where none is known to have it."""
        up = [one for one in self.backends if one.down is None]
        may = [one for one in up if one.models.has(model) is None]
        named = [one for one in up if one.models.names(model)]
        return tuple(may or named) or self.backends

    def elsewhere(self, model: str, backend: BackendSlots, now: float) -> bool:
        """Whether another one than this may run it, if this one turns out not to have it. One whose
        list is old may have got it since, and if this one was believed to have it, whatever list.
        """
        known = self._elsewhere.get((model, backend.name))
        others = [one for one in self.backends if one is not backend] if not known else []
        if known is None:
            known = any(one.models.has(model) or _may_have(one, model) for one in others)
            known = known or bool(backend.models.has(model) and self._lists_beside(backend))
            if len(self._elsewhere) >= REMEMBERED:
                self._elsewhere.clear()
            self._elsewhere[model, backend.name] = known
        return known or any(one.down is None and one.models.may_be_news(now) for one in others)

    def _lists_beside(self, backend: BackendSlots) -> list[BackendSlots]:
        """The others that are up, and can be asked which models they have."""
        others = (one for one in self.backends if one is not backend and one.down is None)
        return [one for one in others if one.models.said]

    @property
    def some_down(self) -> bool:
        return any(backend.down is not None for backend in self.backends)

    def changed(self) -> None:
        """It may be that others can run a model now."""
        self.changes += 1
        self._able.clear()
        self._above.clear()
        self._elsewhere.clear()


def _tier(backend: BackendSlots) -> int:
    return backend.tier


def _may_have(backend: BackendSlots, model: str) -> bool:
    """Whether it is up, and does not say which models it has."""
    return backend.models.has(model) is None and backend.down is None


def takes_some(backend: BackendSlots, now: float) -> bool:
    """Whether it is not closed for the tasks of each model."""
    if backend.down is not None or backend.held is not None:
        return False
    return backend.outages.quiet or backend.outages.allows("", now)

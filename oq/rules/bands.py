"""The tasks that are ready, by priority, by tenant, and by what has to be in memory for them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from sortedcontainers import SortedList

from oq.rules.place import Place

Alike = tuple[str, str]
"""What tasks of one load group have in common, by their own words: model and options."""


Firsts = dict[Alike, SortedList[tuple[str, str]]]
"""For each kind its oldest tasks in order, each with its tenant: one of each tenant."""

NONE: Mapping[Any, Any] = {}


class Flow:
    """The tasks of one tenant with one priority: those that are alike together, in order. `first`
    is the oldest, and `since` when it became that: both as of the last `settle`.
    """

    __slots__ = ("_first_of", "_heads", "_stale", "first", "groups", "since", "tenant")

    def __init__(self, tenant: str, tasks: Mapping[Alike, Sequence[str]] = NONE) -> None:
        self.tenant = tenant
        self.groups = {kind: SortedList(ids) for kind, ids in tasks.items()}
        self.first = ""
        self.since = 0.0
        self._first_of: dict[Alike, str] = {}
        self._heads: SortedList[tuple[str, Alike]] = SortedList()  # the same in order
        self._stale = set(self.groups)

    def add(self, task_id: str, kind: Alike) -> None:
        ids = self.groups.get(kind)
        if ids is None:
            self.groups[kind] = SortedList((task_id,))
            self._stale.add(kind)
        else:
            ids.add(task_id)
            if ids[0] == task_id:
                self._stale.add(kind)

    def remove(self, task_id: str, kind: Alike) -> None:
        """KeyError or ValueError if it is not in."""
        ids = self.groups[kind]
        if ids[0] == task_id:
            ids.pop(0)
            self._stale.add(kind)
        else:
            ids.remove(task_id)
        if not ids:
            del self.groups[kind]

    def settle(self, now: float, firsts: Firsts) -> None:
        """Take note of which are the first of their kind by now, here and in `firsts`."""
        self.sort(firsts)
        first = self._heads[0][0] if self._heads else ""
        if first != self.first:
            self.first, self.since = first, now

    def sort(self, firsts: Firsts) -> None:
        """Do the part of `settle` that needs no time."""
        for kind in self._stale:
            known = self._first_of.pop(kind, None)
            if known is not None:
                self._heads.remove((known, kind))
                firsts[kind].remove((known, self.tenant))
            ids = self.groups.get(kind)
            if ids:
                first = self._first_of[kind] = ids[0]
                self._heads.add((first, kind))
                firsts[kind].add((first, self.tenant))
            elif not firsts[kind]:
                del firsts[kind]
        self._stale.clear()

    def heads(self) -> Iterator[tuple[str, Alike]]:
        """The first of each kind, in order, with its kind."""
        return iter(self._heads)


class Band:
    """The tasks with one priority. `kinds` says how many of each kind there are, and `news` how
    many times a kind has come that was not there. `firsts` has for each kind the oldest task of
    each tenant, with the tenant. `in_memory` is what a policy has found out.
    """

    __slots__ = ("_stale", "firsts", "flows", "in_memory", "kinds", "news")

    def __init__(self, tasks: Mapping[str, Mapping[Alike, Sequence[str]]] = NONE) -> None:
        self.flows = {tenant: Flow(tenant, kinds) for tenant, kinds in tasks.items()}
        self.kinds: Counter[Alike] = Counter()
        for kinds in tasks.values():
            self.kinds.update({kind: len(ids) for kind, ids in kinds.items()})
        self.news = 0
        self.firsts: Firsts = defaultdict(SortedList)
        self.in_memory: tuple[tuple[int, ...], list[Alike]] | None = None
        self._stale = set(self.flows)
        for flow in self.flows.values():
            flow.sort(self.firsts)

    def add(self, task_id: str, place: Place, tenant: str) -> bool:
        """Whether its tenant had none."""
        flow = self.flows.get(tenant)
        new = flow is None
        if flow is None:
            flow = self.flows[tenant] = Flow(tenant)
        kind = place.model, place.load
        self.news += kind not in self.kinds
        self.kinds[kind] += 1
        flow.add(task_id, kind)
        self._stale.add(tenant)
        return new

    def remove(self, task_id: str, place: Place, tenant: str) -> bool:
        """Whether it was the last one of its tenant. KeyError or ValueError if it is not in."""
        flow = self.flows[tenant]
        kind = place.model, place.load
        flow.remove(task_id, kind)
        self.kinds[kind] -= 1
        if not self.kinds[kind]:
            del self.kinds[kind]
        if flow.groups:
            self._stale.add(tenant)
            return False
        flow.sort(self.firsts)
        del self.flows[tenant]
        self._stale.discard(tenant)
        return True

    def settle(self, now: float) -> None:
        """Take note of which are the first by now."""
        for tenant in self._stale:
            self.flows[tenant].settle(now, self.firsts)
        self._stale.clear()


class Bands:
    """All tasks that are ready. Unless it is `by_tenant`, they are all of one. Of one priority so
    many tenants are told apart, and those `named` besides; the tasks of any more are those of "".
    """

    def __init__(
        self,
        tasks: Iterable[tuple[str, Place]] = (),
        *,
        by_tenant: bool = False,
        most: int = 0,
        named: Collection[str] = (),
    ) -> None:
        self._by_tenant = by_tenant
        self._most, self._named = most, named
        self._others: set[str] = set()  # the tasks whose tenant is not told apart
        grouped: dict[int, dict[str, dict[Alike, list[str]]]] = {}
        for task_id, place in tasks:
            tenants = grouped.setdefault(place.priority, {})
            kinds = tenants.setdefault(self._enter(task_id, place, tenants), {})
            kinds.setdefault((place.model, place.load), []).append(task_id)
        self._bands = {priority: Band(tenants) for priority, tenants in grouped.items()}

    def tenant_of(self, task_id: str, place: Place) -> str:
        """The tenant that a task that is in counts for."""
        return place.tenant if self._by_tenant and task_id not in self._others else ""

    def _enter(self, task_id: str, place: Place, tenants: Collection[str]) -> str:
        """The tenant of a task that comes to those of these ones."""
        tenant = place.tenant if self._by_tenant else ""
        if tenant not in tenants and tenant not in self._named and len(tenants) >= self._most:
            if tenant:
                self._others.add(task_id)
            return ""
        return tenant

    def __iter__(self) -> Iterator[tuple[int, Band]]:
        """The highest priority first."""
        return iter(sorted(self._bands.items(), reverse=True))

    def __getitem__(self, priority: int) -> Band:
        return self._bands[priority]

    def first_of_one_kind(self) -> tuple[int, str] | None:
        """The highest priority and its first task, if all of its tasks are alike and of one tenant:
        mostly they are, and then it makes no difference in which order kinds and tenants come.
        """
        priority = max(self._bands)
        band = self._bands[priority]
        if len(band.kinds) != 1 or len(band.flows) != 1:
            return None
        flow = next(iter(band.flows.values()))
        return priority, next(iter(flow.groups.values()))[0]

    def add(self, task_id: str, place: Place) -> bool:
        """Whether its tenant had none with its priority."""
        band = self._bands.get(place.priority)
        if band is None:
            band = self._bands[place.priority] = Band()
        return band.add(task_id, place, self._enter(task_id, place, band.flows))

    def remove(self, task_id: str, place: Place) -> tuple[str, bool]:
        """The tenant that it counted for, and whether it was the last one of that with its
        priority. KeyError or ValueError if it is not in.
        """
        band, tenant = self._bands[place.priority], self.tenant_of(task_id, place)
        last = band.remove(task_id, place, tenant)
        self._others.discard(task_id)
        if not band.flows:
            del self._bands[place.priority]
        return tenant, last

    def settle(self, now: float) -> None:
        """Take note of which are the first by now."""
        for band in self._bands.values():
            band.settle(now)

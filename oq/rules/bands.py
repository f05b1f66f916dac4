"""The tasks that are ready, by priority, by tenant, and by what has to be in memory for them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from sortedcontainers import SortedList

from oq.rules.by_route import MANY, Alike, ByRoute
from oq.rules.fleet import Fleet
from oq.rules.place import Place
from oq.rules.ready import ReadyQueue

Firsts = dict[Alike, SortedList[tuple[str, str]]]
"""For each kind its oldest tasks in order, each with its tenant: one of each tenant."""


class Flow:
    """The tasks of one tenant with one priority: those that are alike together, in order. `first`
    is the oldest, and `since` when it became that: both as of the last `settle`. So many have
    `come` and `gone`, unless all tasks of its band are alike.
    """

    __slots__ = (
        "_by_route", "_first_of", "_heads", "_stale", "come", "first", "gone", "groups", "since",
        "tenant",
    )  # fmt: skip

    def __init__(self, tenant: str, groups: dict[Alike, SortedList[str]]) -> None:
        self.tenant = tenant
        self.groups = groups
        self.first = ""
        self.since = 0.0
        self.come = self.gone = 0
        self._first_of: dict[Alike, str] = {}
        self._heads: SortedList[tuple[str, Alike]] = SortedList()  # the same in order
        self._stale = set(self.groups)
        self._by_route: ByRoute | None = None  # while it is asked for

    @property
    def count(self) -> int:
        """How many are in."""
        return self.come - self.gone

    @property
    def changes(self) -> int:
        """How often one has come or gone."""
        return self.come + self.gone

    def add(self, task_id: str, kind: Alike) -> None:
        self.come += 1
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
        self.gone += 1
        ids = self.groups[kind]
        if ids[0] == task_id:
            ids.pop(0)
            self._stale.add(kind)
        else:
            ids.remove(task_id)
        if not ids:
            del self.groups[kind]

    def part(self, kind: Alike, ids: SortedList[str]) -> None:
        """Its tasks, which are all of this kind, are not all of its band any more."""
        self.groups[kind] = ids
        self.come += len(ids)
        self._stale.add(kind)

    def touch(self, kind: Alike) -> None:
        """Another task may be the first of this kind."""
        self._stale.add(kind)

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
            if self._by_route is not None:
                self._by_route.move(kind, known, ids[0] if ids else None)
        self._stale.clear()

    def heads(self) -> Iterator[tuple[str, Alike]]:
        """The first of each kind, in order, with its kind."""
        return iter(self._heads)

    def by_route(self, fleet: Fleet) -> ByRoute:
        """The same by who can run them, for they are many."""
        if self._by_route is None or self._by_route.changes != fleet.changes:
            self._by_route = ByRoute(self._heads, fleet)
        return self._by_route

    def forget_routes(self) -> None:
        """They are few now."""
        self._by_route = None


class Band:
    """The tasks with one priority. `line` has all of them in order. `kinds` says how many of each
    kind there are, as of the last `settle`, and `news` how many times a kind has come that was not
    there. `firsts` has for each kind the oldest task of each tenant, with the tenant. `in_memory`
    is what a policy has found out.

    Mostly all have one tenant and are of one kind. As long as they have always been so, they are
    `alike`, and not sorted by that: the line is in the place of the list that they would be in.
    """

    __slots__ = (
        "_many", "_stale", "alike", "firsts", "flows", "in_memory", "kinds", "line", "news",
    )  # fmt: skip

    def __init__(
        self, line: SortedList[str], tasks: Mapping[str, Mapping[Alike, Sequence[str]]]
    ) -> None:
        """`tasks` are those in the line, by tenant and kind."""
        self.line = line
        self.alike: tuple[str, Alike] | None = None
        if len(tasks) == 1:
            ((tenant, kinds),) = tasks.items()
            self.alike = (tenant, next(iter(kinds))) if len(kinds) == 1 else None
        self.flows: dict[str, Flow] = {}
        self.kinds: dict[Alike, int] = {}
        for tenant, kinds in tasks.items():
            groups: dict[Alike, SortedList[str]] = {}
            for kind, ids in kinds.items():
                self.kinds[kind] = self.kinds.get(kind, 0) + len(ids)
                groups[kind] = SortedList(ids) if self.alike is None else line
            self.flows[tenant] = Flow(tenant, groups)
        self.news = 0
        self.firsts: Firsts = defaultdict(SortedList)
        self.in_memory: tuple[tuple[int, ...], list[Alike]] | None = None
        self._many = False
        self._stale = set(self.flows)
        if self.alike is None:  # these may be many: it is done before the first one is asked for
            for flow in self.flows.values():
                flow.come = sum(map(len, flow.groups.values()))
                flow.sort(self.firsts)

    def add(self, task_id: str, place: Place, tenant: str) -> bool:
        """A task is in the line from now on. Whether its tenant had none."""
        kind = place.model, place.load
        if self.alike is not None:
            if self.alike == (tenant, kind):
                return False
            self._part(self.alike, task_id)
        flow = self.flows.get(tenant)
        new = flow is None
        if flow is None:
            flow = self.flows[tenant] = Flow(tenant, {})
        known = self.kinds.get(kind, 0)
        self.news += not known
        self.kinds[kind] = known + 1
        flow.add(task_id, kind)
        self._stale.add(tenant)
        return new

    def _part(self, alike: tuple[str, Alike], but: str) -> None:
        """They are not all alike any more, for this one has come: the others get a list."""
        tenant, kind = alike
        ids = SortedList(self.line)
        ids.remove(but)
        self.flows[tenant].part(kind, ids)
        self._stale.add(tenant)
        self.kinds[kind] = len(ids)
        self.alike = None

    def _touch(self, alike: tuple[str, Alike]) -> None:
        tenant, kind = alike
        self.flows[tenant].touch(kind)
        self._stale.add(tenant)

    def remove(self, task_id: str, place: Place, tenant: str) -> bool:
        """A task is in the line no longer. Whether it was the last one of its tenant. KeyError or
        ValueError if it was not in.
        """
        if self.alike is not None:
            return not self.line
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
        if self.alike is not None:
            tenant, kind = self.alike
            self.kinds[kind] = len(self.line)
            if self.flows[tenant].first != self.line[0]:
                self._touch(self.alike)
        for tenant in self._stale:
            self.flows[tenant].settle(now, self.firsts)
        self._stale.clear()

    def first_of(self, kind: Alike, among: Collection[Flow] | None) -> str | None:
        """The oldest task of a kind, of these tenants, or of all; None if there is none."""
        firsts: Iterable[tuple[str, str]] = self.firsts.get(kind, ())
        for task_id, tenant in firsts:
            if among is None or self.flows[tenant] in among:
                return task_id
        return None

    def among(self, flows: Sequence[Flow]) -> Collection[Flow] | None:
        """These tenants, as `first_of` takes them."""
        return None if len(flows) == len(self.flows) else set(flows)

    def has_many_kinds(self) -> bool:
        """Whether they are so many that a search must not look at each."""
        most = max(MANY, len(self.flows))
        if self._many and len(self.kinds) <= most // 2:
            self._many = False
            for flow in self.flows.values():
                flow.forget_routes()
        self._many = self._many or len(self.kinds) > most
        return self._many


class Bands:
    """All tasks that are ready, sorted beside their line. Unless it is `by_tenant`, they are all of
    one. Of one priority so many tenants are told apart, and those `named` besides; the tasks of any
    more are those of "".
    """

    def __init__(
        self,
        ready: ReadyQueue,
        *,
        by_tenant: bool = False,
        most: int = 0,
        named: Collection[str] = (),
    ) -> None:
        self._ready = ready
        self._by_tenant = by_tenant
        self._most, self._named = most, named
        self._others: set[str] = set()  # the tasks whose tenant is not told apart
        grouped: dict[int, dict[str, dict[Alike, list[str]]]] = {}
        for task_id, place in ready.places():
            tenants = grouped.setdefault(place.priority, {})
            kinds = tenants.setdefault(self._enter(task_id, place, tenants), {})
            kinds.setdefault((place.model, place.load), []).append(task_id)
        self._bands = {
            priority: Band(ready.line(priority), tenants) for priority, tenants in grouped.items()
        }

    def tenant_of(self, task_id: str, place: Place) -> str:
        """The tenant that a task that is in counts for."""
        return place.tenant if self._by_tenant and task_id not in self._others else ""

    def next_tenant_of(self, place: Place) -> str:
        """The tenant that a task that comes now will count for."""
        tenants = self[place.priority].flows
        tenant = place.tenant if self._by_tenant else ""
        return "" if tenant not in tenants and self._is_beyond(tenant, tenants) else tenant

    def _enter(self, task_id: str, place: Place, tenants: Collection[str]) -> str:
        """The tenant of a task that comes to those of these ones."""
        tenant = place.tenant if self._by_tenant else ""
        if tenant not in tenants and self._is_beyond(tenant, tenants):
            if tenant:
                self._others.add(task_id)
            return ""
        return tenant

    def _is_beyond(self, tenant: str, tenants: Collection[str]) -> bool:
        """Whether a tenant that comes to these ones is not told apart."""
        return tenant not in self._named and len(tenants) >= self._most

    def __iter__(self) -> Iterator[tuple[int, Band]]:
        """The highest priority first."""
        return iter(sorted(self._bands.items(), reverse=True))

    def __contains__(self, priority: int) -> bool:
        return priority in self._bands

    def __getitem__(self, priority: int) -> Band:
        return self._bands[priority]

    def add(self, task_id: str, place: Place) -> bool:
        """A task is in line from now on. Whether its tenant had none with its priority."""
        band = self._bands.get(place.priority)
        if band is None:
            tenant = self._enter(task_id, place, ())
            tasks = {tenant: {(place.model, place.load): (task_id,)}}
            self._bands[place.priority] = Band(self._ready.line(place.priority), tasks)
            return True
        return band.add(task_id, place, self._enter(task_id, place, band.flows))

    def remove(self, task_id: str, place: Place) -> tuple[str, bool]:
        """A task is in line no longer. The tenant that it counted for, and whether it was the last
        one of that with its priority. KeyError or ValueError if it was not in.
        """
        band, tenant = self._bands[place.priority], self.tenant_of(task_id, place)
        last = band.remove(task_id, place, tenant)
        self._others.discard(task_id)
        if not band.line:
            del self._bands[place.priority]
        return tenant, last

    def settle(self, now: float) -> None:
        """Take note of which are the first by now."""
        for band in self._bands.values():
            band.settle(now)

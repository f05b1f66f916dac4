"""The first tasks of many kinds, in an order that lets a search pass by most of them at once.

Anybody can make up a kind: a model or a load option that nobody else asks for. But what keeps a
task from starting is mostly the same for all options of its model, or for all models that the same
backends have. So one of these is looked at, and not each.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from sortedcontainers import SortedList

from oq.rules.fleet import Fleet, Route

Alike = tuple[str, str]
"""What tasks of one load group have in common, by their own words: model and options."""

MANY = 64
"""Kinds of one priority. If there are no more, or no more than tenants, each is looked at."""


class ByRoute:
    """Of one tenant: `heads` has for each route the first task of each model, and `of_model` for
    each model the first of each kind. It is as of the `changes` of the fleet.
    """

    __slots__ = ("_fleet", "changes", "heads", "of_model", "route_of")

    def __init__(self, firsts: Iterable[tuple[str, Alike]], fleet: Fleet) -> None:
        self._fleet = fleet
        self.changes = fleet.changes
        self.route_of: dict[str, Route] = {}
        kinds: dict[str, list[tuple[str, Alike]]] = defaultdict(list)
        for first in firsts:
            kinds[first[1][0]].append(first)
        self.of_model = {model: SortedList(of) for model, of in kinds.items()}
        heads: dict[Route, list[tuple[str, Alike]]] = defaultdict(list)
        for model, of in self.of_model.items():
            heads[self._route(model)].append(of[0])
        self.heads = {route: SortedList(of) for route, of in heads.items()}

    def _route(self, model: str) -> Route:
        route = self.route_of.get(model)
        if route is None:
            route = self.route_of[model] = self._fleet.route(model)
        return route

    def move(self, kind: Alike, before: str | None, first: str | None) -> None:
        """The first task of a kind was another one; None if there was, or is, none."""
        if before == first:  # it came and went since
            return
        model = kind[0]
        of = self.of_model.get(model)
        if of is None:
            of = self.of_model[model] = SortedList()
        head = of[0] if of else None
        if before is not None:
            of.remove((before, kind))
        if first is not None:
            of.add((first, kind))
        new = of[0] if of else None
        if new == head:
            return
        route = self._route(model)
        heads = self.heads.setdefault(route, SortedList())
        if head is not None:
            heads.remove(head)
        if new is not None:
            heads.add(new)
            return
        del self.of_model[model], self.route_of[model]
        if not heads:
            del self.heads[route]

"""Ready tasks in the order of submission, of which those that are alike can be left out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from heapq import heapify, heappop, heappush
from itertools import islice

from oq.rules.bands import Band, Flow
from oq.rules.by_route import Alike, ByRoute
from oq.rules.fleet import Fleet, Route
from oq.rules.slots import BackendSlots

_Heads = Iterator[tuple[str, Alike]]
_Entry = tuple[str, Flow, Alike, int, _Heads | None, ByRoute | None]


class InOrder:
    """The tasks of some tenants of a band in order, without those that are like one that was
    dropped. If they are of many kinds, those are left out, too, that none of the backends `on` may
    run: what none of them may run does not start, whatever its kind. `on` may become fewer.
    """

    def __init__(
        self,
        band: Band,
        flows: Iterable[Flow],
        fleet: Fleet,
        now: float,
        on: Sequence[BackendSlots] | None = None,
    ) -> None:
        self._fleet = fleet
        self._now = now
        self._on = fleet.backends if on is None else on
        self._dropped: set[Alike] = set()
        self._models: set[str] = set()
        self._shut: dict[Route, bool] = {}
        self._line: list[_Entry] = []
        self._many = band.has_many_kinds()
        for flow in flows:
            self._enter(flow)
        heapify(self._line)

    def _enter(self, flow: Flow) -> None:
        if not self._many:
            self._note_head(flow, flow.heads())
            return
        tree = flow.by_route(self._fleet)
        for route, heads in tree.heads.items():
            shut = self._shut.get(route)
            if shut is None:
                shut = self._shut[route] = self._is_shut(heads[0][1][0])
            if not shut:
                self._note_head(flow, self._of_route(route, heads), tree)

    def __iter__(self) -> Iterator[tuple[str, Alike]]:
        """The ids, each with its kind."""
        line = self._line
        while line:
            task_id, flow, kind, number, heads, tree = heappop(line)
            if heads is not None:
                self._note_head(flow, heads, tree)
            if kind[0] in self._models:
                continue
            if tree is not None:
                if self._shut[tree.route_of[kind[0]]]:
                    continue
                self._note_head(flow, self._of_model(tree.of_model[kind[0]]))
            if kind in self._dropped:
                continue
            yield task_id, kind
            ids = flow.groups[kind]
            if number + 1 < len(ids):
                heappush(line, (ids[number + 1], flow, kind, number + 1, None, None))

    def drop(self, kind: Alike) -> None:
        """No more tasks of this kind."""
        self._dropped.add(kind)

    def drop_model(self, model: str) -> None:
        """No more tasks of this model, whatever their options. If none of its backends takes any at
        all, it is as `drop_route`.
        """
        self._models.add(model)
        if self._many and self._is_shut(model):
            self.drop_route(model)

    def drop_route(self, model: str) -> None:
        """No more tasks of this model; nor, if they are of many kinds, of those that the same
        backends may run and of which none was given yet.
        """
        self._models.add(model)
        self._shut[self._fleet.route(model)] = True

    def _is_shut(self, model: str) -> bool:
        return self._fleet.shuts_out(model, self._now, self._on)

    def _of_route(self, route: Route, heads: Iterable[tuple[str, Alike]]) -> _Heads:
        """The first task of each model, until the route is dropped."""
        for head in heads:
            if self._shut[route]:
                return
            yield head

    def _of_model(self, heads: Iterable[tuple[str, Alike]]) -> _Heads:
        """The first task of each other kind of a model, until that is dropped."""
        for head in islice(heads, 1, None):
            if head[1][0] in self._models:
                return
            yield head

    def _note_head(self, flow: Flow, heads: _Heads, tree: ByRoute | None = None) -> None:
        """The next of those that are the first of their kind, or of their model in a tree."""
        models, dropped = self._models, self._dropped
        for task_id, kind in heads:
            if tree is not None or not (kind[0] in models or kind in dropped):
                heappush(self._line, (task_id, flow, kind, 0, heads, tree))
                return

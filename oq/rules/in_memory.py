"""Which of many kinds of task a search has to look at, where it matters what is in memory.

What no backend has in memory has to be loaded: of such kinds that the same backends may run one
stands for all. By themselves only those are looked at whose model is in memory somewhere.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from heapq import merge

from oq.rules.bands import Band, Flow
from oq.rules.by_route import Alike
from oq.rules.fleet import Fleet
from oq.rules.in_order import InOrder
from oq.rules.model_names import both_names
from oq.rules.room import Room
from oq.rules.slots import BackendSlots

Rooms = Mapping[Alike, tuple[BackendSlots | None, Room]]


class Representatives:
    """The oldest tasks that stand for all kinds of these tenants."""

    def __init__(
        self,
        band: Band,
        flows: Sequence[Flow],
        fleet: Fleet,
        now: float,
        on: Sequence[BackendSlots],
    ) -> None:
        self._band = band
        self._flows = flows
        self._fleet = fleet
        self._loads = _loads_in_memory(fleet)
        self._line = InOrder(band, flows, fleet, now, on)

    def look(
        self, rooms: Rooms, is_singled_out: Callable[[str], bool]
    ) -> Iterator[tuple[str, Alike]]:
        """One after the other, in order. What a search has found out of one is in `rooms` when it
        asks for the next. `is_singled_out` says of a task whether one of its backends passes by its
        model, but not all others.
        """
        for model in self._loads:
            self._line.drop_model(model)
        return merge(sorted(self._in_memory()), self._others(rooms, is_singled_out))

    def _in_memory(self) -> Iterator[tuple[str, Alike]]:
        """Of each model that is in memory: of each of its kinds that is, and of all others."""
        others: dict[str, tuple[str, Alike]] = {}
        for flow in self._flows:
            of_model = flow.by_route(self._fleet).of_model
            for model in of_model.keys() & self._loads.keys():
                loads = self._loads[model]
                other = next((head for head in of_model[model] if head[1][1] not in loads), None)
                if other is not None:
                    others[model] = min(others.get(model, other), other)
        kinds = ((model, load) for model, loads in self._loads.items() for load in loads)
        among = self._band.among(self._flows)
        firsts = ((self._band.first_of(kind, among), kind) for kind in kinds)
        yield from ((first, kind) for first, kind in firsts if first is not None)
        yield from others.values()

    def _others(
        self, rooms: Rooms, is_singled_out: Callable[[str], bool]
    ) -> Iterator[tuple[str, Alike]]:
        for task_id, kind in self._line:
            yield task_id, kind
            if kind not in rooms:
                self._line.drop(kind)
            elif rooms[kind][0] is None or is_singled_out(task_id):
                self._line.drop_model(kind[0])
            else:
                self._line.drop_route(kind[0])


def _loads_in_memory(fleet: Fleet) -> dict[str, set[str]]:
    """The names of the models that are in memory somewhere, or come into it, each with the options
    with which they are.
    """
    found: dict[str, set[str]] = defaultdict(set)
    for backend in fleet:
        if backend.residency is None:
            continue
        loads: dict[str, set[str]] = defaultdict(set)
        for group in backend.residency.live:
            loads[group.key[0]].add(group.key[1])
        names = [*zip(loads, loads, strict=True)]
        names += [(name, same) for name, same in backend.names.items() if same in loads]
        for full, same in names:
            for name in both_names(full):
                found[name] |= loads[same] if backend.by_options else set()
    return found

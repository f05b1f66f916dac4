"""When a model gets its turn on a backend, where tasks of the models in memory go first."""

from __future__ import annotations

from msgspec import Struct

from oq.rules.backlog import Backlog
from oq.rules.place import Place
from oq.rules.residency import Residency
from oq.rules.slots import BackendSlots

LOAD = 5.0
"""Seconds for a load, where nothing is known."""
LATELY = 32
"""About so many turns count."""


class TurnsRecord(Struct, frozen=True, array_like=True):
    """What is kept over a restart."""

    drain: float = 0.0
    seen: int = 0


class Turns:
    """The turns of the models on one backend. The oldest task of a priority may be passed for
    `max_bypass` seconds; then what runs ends (the *drain*), and its model is loaded.
    """

    __slots__ = ("_backend", "_drain", "_first", "_max_bypass", "_seen", "_since", "last")

    def __init__(self, backend: BackendSlots, max_bypass: float) -> None:
        self.last = ""
        """The model of the task that started last."""
        self._backend = backend
        self._max_bypass = max_bypass
        self._drain, self._seen = 0.0, 0
        self._first, self._since = "", 0.0

    def swapped(self, model: str, drain: float | None) -> None:
        """A task of another model than before starts, so many seconds after the last start, if
        some waited all the time.
        """
        self.last = model
        if drain is not None:
            self._seen = min(self._seen + 1, LATELY)
            self._drain += (drain - self._drain) / self._seen

    @property
    def load_time(self) -> float:
        """The mean of the known ones."""
        residency = self._backend.residency
        if residency is None:
            return 0.0
        known = [one.load_time for one in residency.groups.values() if one.load_time is not None]
        return sum(known) / len(known) if known else LOAD

    def wait(
        self, place: Place, now: float, first: tuple[str, Place] | None, backlog: Backlog
    ) -> float | None:
        """Seconds until the turn of a task's model begins; None if it has its turn. `first` is the
        first in line.
        """
        residency = self._backend.residency
        if residency is None:
            return None
        self._note_first(first, now)
        group = residency.group(self._backend.key(place), place.model)
        usual = self.load_time
        took = group.load_time or usual
        load = residency.load
        if load is not None and load.group is group:
            return max(0.0, load.at + took - now)
        whole = self._max_bypass + self._drain + took
        before = self._before(place, residency, backlog) * whole
        if load is not None:
            return max(0.0, load.at + (load.group.load_time or usual) - now) + whole + before
        due = self._since + self._max_bypass
        turn = max(0.0, due - now) + max(0.0, self._drain - max(0.0, now - due)) + took
        if not group.loaded:
            return turn + before
        if now < due or first is None or first[1].model == place.model:
            return None
        return turn + whole

    def record(self) -> TurnsRecord:
        return TurnsRecord(round(self._drain, 4), self._seen)

    def restore(self, record: TurnsRecord) -> None:
        self._drain, self._seen = record.drain, min(max(0, record.seen), LATELY)

    def _note_first(self, first: tuple[str, Place] | None, now: float) -> None:
        """Since when the first in line is that."""
        task_id = "" if first is None else first[0]
        if task_id != self._first:
            self._first, self._since = task_id, now

    def _before(self, place: Place, residency: Residency, backlog: Backlog) -> int:
        """How many models have their turn before this one."""
        lane = backlog.lane(place.priority)
        if lane is None:
            return 0
        warm = {group.name for group in residency.loaded}
        before = 0
        for model in lane.counts:
            if model == place.model:
                break
            before += model not in warm
        return before

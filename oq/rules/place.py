"""Where a pending task stands in the queue: the record that decides when its turn comes."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from oq.words.task import TaskState


class Place(Struct, frozen=True, array_like=True, omit_defaults=True, gc=False):
    """All that the scheduler has to know of a pending task, so that recovery reads nothing else of
    it. `delay` is how many seconds a retry was to wait; a record from before that was noted has
    none. `load` is as in its terms.
    """

    priority: int
    model: str
    run_at: datetime | None = None
    retrying: bool = False
    delay: float | None = None
    load: str = ""

    def when_due(self) -> Place:
        """The same once the task waits for no time any more."""
        return Place(self.priority, self.model, load=self.load)


def place_of(state: TaskState) -> Place:
    retrying = state.retry_count > 0
    return Place(
        state.terms.priority, state.terms.model, state.run_at,
        retrying, _delay(state) if retrying else None, state.terms.load,
    )  # fmt: skip


def _delay(state: TaskState) -> float | None:
    """By the two times that were written together, whatever the clock said then."""
    if state.run_at is None or not state.attempts or state.attempts[-1].ended_at is None:
        return None
    return (state.run_at - state.attempts[-1].ended_at).total_seconds()

"""Where a pending task stands in the queue: the record that decides when its turn comes."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache

from msgspec import Struct

from oq.words.task import TaskState

ALIKE = 4096
"""Kinds of places of which one object is kept: most tasks are alike, and a million may wait."""


class Place(Struct, frozen=True, array_like=True, omit_defaults=True, gc=False):
    """All that the scheduler has to know of a pending task, so that recovery reads nothing else of
    it. `delay` is how many seconds a retry was to wait; a record from before that was noted has
    none. `load` and `tenant` are as in its terms.
    """

    priority: int
    model: str
    run_at: datetime | None = None
    retrying: bool = False
    delay: float | None = None
    load: str = ""
    tenant: str = ""

    def when_due(self) -> Place:
        """The same once the task waits for no time any more."""
        return _plain(self.priority, self.model, self.load, self.tenant)


def place_of(state: TaskState) -> Place:
    terms = state.terms
    if state.run_at is None and not state.retry_count:
        return _plain(terms.priority, terms.model, terms.load, terms.tenant)
    retrying = state.retry_count > 0
    return Place(
        terms.priority, terms.model, state.run_at,
        retrying, _delay(state) if retrying else None, terms.load, terms.tenant,
    )  # fmt: skip


@lru_cache(ALIKE)
def _plain(priority: int, model: str, load: str, tenant: str) -> Place:
    """Of a task that waits for no time, and has not failed."""
    return Place(priority, model, load=load, tenant=tenant)


def _delay(state: TaskState) -> float | None:
    """By the two times that were written together, whatever the clock said then."""
    if state.run_at is None or not state.attempts or state.attempts[-1].ended_at is None:
        return None
    return (state.run_at - state.attempts[-1].ended_at).total_seconds()

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
    it. `retrying` says that it is tried again: its `run_at`, if it has one, was set by oq, not by
    its user. `delay` is how many seconds it was to wait then; a record from before that was noted
    has none. `load`, `tenant` and `conversation` are as in its terms.
    """

    priority: int
    model: str
    run_at: datetime | None = None
    retrying: bool = False
    delay: float | None = None
    load: str = ""
    tenant: str = ""
    conversation: int = 0

    def when_due(self) -> Place:
        """The same once the task waits for no time any more."""
        return _plain_of(self.priority, self.model, self.load, self.tenant, self.conversation)


def place_of(state: TaskState) -> Place:
    terms = state.terms
    if state.run_at is None and not state.retry_count:
        return _plain_of(terms.priority, terms.model, terms.load, terms.tenant, terms.conversation)
    delay = _delay(state)
    # One that was put off has spent no retry.
    retrying = state.retry_count > 0 or delay is not None
    return Place(
        terms.priority, terms.model, state.run_at, retrying, delay,
        terms.load, terms.tenant, terms.conversation,
    )  # fmt: skip


def _plain_of(priority: int, model: str, load: str, tenant: str, conversation: int) -> Place:
    if conversation:  # hardly any other is of the same
        return Place(priority, model, load=load, tenant=tenant, conversation=conversation)
    return _plain(priority, model, load, tenant)


@lru_cache(ALIKE)
def _plain(priority: int, model: str, load: str, tenant: str) -> Place:
    """Of a task that waits for no time, and has not failed."""
    return Place(priority, model, load=load, tenant=tenant)


def _delay(state: TaskState) -> float | None:
    """How long oq wanted it to wait, by the two times that were written together, whatever the
    clock said then; None if oq did not want that. What a user wants is over at the first start.
    """
    if state.run_at is None or not state.attempts or state.attempts[-1].ended_at is None:
        return None
    return (state.run_at - state.attempts[-1].ended_at).total_seconds()

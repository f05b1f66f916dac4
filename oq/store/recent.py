"""Keeps the records of newly submitted tasks in memory until their first attempt has ended.

So a task that runs soon is not read back from the disk and decoded again.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from oq.words.steps import Change, Removal
from oq.words.task import Body, TaskState

MOST_TASKS = 32_768
MOST_BYTES = 32 << 20
"""Of payloads, options, headers and metadata, all together."""


class _Kept(Struct, gc=False):
    """The records of one task. `size` is that of what its caller may make long, in bytes."""

    state: TaskState
    body: Body
    size: int


class Recent:
    """What `Store` would read of these tasks. While it is full no more are taken in, for those that
    came first run first.
    """

    def __init__(self, most: int = MOST_TASKS, most_bytes: int = MOST_BYTES) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._kept: dict[str, _Kept] = {}
        self._bytes = 0

    def state(self, task_id: str) -> TaskState | None:
        kept = self._kept.get(task_id)
        return None if kept is None else kept.state

    def body(self, task_id: str) -> Body | None:
        kept = self._kept.get(task_id)
        return None if kept is None else kept.body

    def note(self, steps: Iterable[Change | Removal]) -> None:
        """These steps have been written."""
        for step in steps:
            state = step.state
            if isinstance(step, Change) and step.body is not None:
                if _runs_soon(state):
                    self._take_in(state, step.body)
            elif (kept := self._kept.get(state.id)) is not None:
                if isinstance(step, Change) and _runs_soon(state):
                    kept.state = state
                else:
                    self._bytes -= kept.size
                    del self._kept[state.id]

    def _take_in(self, state: TaskState, body: Body) -> None:
        size = _size(state, body)
        if len(self._kept) < self._most and self._bytes + size <= self._most_bytes:
            self._kept[state.id] = _Kept(state, body, size)
            self._bytes += size


def _runs_soon(state: TaskState) -> bool:
    """Not of one that has ended, that waits for its time, or that is tried again: its record has
    grown by what went wrong.
    """
    if state.status.ended or state.run_at is not None:
        return False
    attempts = state.attempts
    return not attempts or (len(attempts) == 1 and attempts[0].ended_at is None)


def _size(state: TaskState, body: Body) -> int:
    """All of it that its caller may make long."""
    size = len(body.payload) + len(body.options) + len(state.terms.metadata or b"")
    if body.headers:
        size += sum(len(name) + len(value) for name, value in body.headers)
    return size + len(body.target or "") + len(body.way)

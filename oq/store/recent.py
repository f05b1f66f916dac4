"""The records of live tasks that were written last, so that a task which runs soon after it was
submitted is not read back and decoded again.
"""

from __future__ import annotations

from collections import OrderedDict

from oq.words.messages import Change, Removal
from oq.words.task import Body, TaskState

MOST_TASKS = 4096
LONGEST_BODY = 16 * 1024
"""Bytes of a payload with its options; with MOST_TASKS this bounds what is held."""


class Recent:
    """What `Store` would decode of these tasks. Those that were written first are dropped first."""

    def __init__(self, most: int = MOST_TASKS) -> None:
        self._most = most
        self._states: OrderedDict[str, TaskState] = OrderedDict()
        self._bodies: OrderedDict[str, Body] = OrderedDict()

    def state(self, task_id: str) -> TaskState | None:
        return self._states.get(task_id)

    def body(self, task_id: str) -> Body | None:
        return self._bodies.get(task_id)

    def note(self, step: Change | Removal) -> None:
        """This step has been written."""
        state = step.state
        if isinstance(step, Removal) or state.status.ended:  # it is seldom read from here on
            self._states.pop(state.id, None)
            self._bodies.pop(state.id, None)
            return
        body = step.body
        self._states[state.id] = state
        if len(self._states) > self._most:
            self._states.popitem(last=False)
        if body is not None and len(body.payload) + len(body.options) <= LONGEST_BODY:
            self._bodies[state.id] = body
            if len(self._bodies) > self._most:
                self._bodies.popitem(last=False)

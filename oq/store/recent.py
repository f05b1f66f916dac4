"""The records of the tasks that were submitted last and still live, so that a task which runs soon
after is not read back and decoded again.
"""

from __future__ import annotations

from collections import OrderedDict

from oq.words.messages import Change, Removal
from oq.words.task import Body, TaskState

MOST_TASKS = 32_768
MOST_BYTES = 32 << 20
"""Of payloads and options, all together."""


class Recent:
    """What `Store` would read of these tasks. Those that were submitted first are dropped first."""

    def __init__(self, most: int = MOST_TASKS, most_bytes: int = MOST_BYTES) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._states: OrderedDict[str, TaskState] = OrderedDict()
        self._bodies: dict[str, Body] = {}  # of the same tasks
        self._bytes = 0

    def state(self, task_id: str) -> TaskState | None:
        return self._states.get(task_id)

    def body(self, task_id: str) -> Body | None:
        return self._bodies.get(task_id)

    def note(self, step: Change | Removal) -> None:
        """This step has been written."""
        state = step.state
        task_id = state.id
        if isinstance(step, Change) and step.body is not None:
            self._states[task_id] = state
            self._bodies[task_id] = step.body
            self._bytes += _size(step.body)
            self._make_room()
        if state.status.ended or isinstance(step, Removal):
            if self._states.pop(task_id, None) is not None:
                self._bytes -= _size(self._bodies.pop(task_id))
        elif task_id in self._states:
            self._states[task_id] = state

    def _make_room(self) -> None:
        while len(self._states) > self._most or self._bytes > self._most_bytes:
            task_id, _ = self._states.popitem(last=False)
            self._bytes -= _size(self._bodies.pop(task_id))


def _size(body: Body) -> int:
    return len(body.payload) + len(body.options)

"""Puts submits together in requests, and gives each its own result.

The tasks that come while a request is in flight go together in the next one. When a request is
refused because of some of its tasks, the others are sent again.
Nothing here does I/O.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Container, Sequence

from oq.client import requests
from oq.client.failures import ServerFault, again
from oq.client.requests import ApiRequest
from oq.words.errors import (
    InvalidBatch,
    InvalidTask,
    OqError,
    PayloadTooLarge,
    QueueFull,
    ServerNotReached,
)

MOST_TASKS = 500
"""Tasks in one request: with more, the first would wait for the last and nothing be gained."""
MOST_BYTES = 1 << 20


class PendingSubmit:
    """One task to submit. `wake` is called once its `outcome` is known."""

    __slots__ = ("body", "key", "outcome", "unwanted", "wake")

    def __init__(self, body: bytes, key: str, wake: Callable[[], object]) -> None:
        self.body = body
        self.key = key
        self.wake = wake
        self.unwanted = False
        """Its caller was cancelled: it is not sent any more."""
        self.outcome: str | OqError | None = None

    def settle(self, outcome: str | OqError) -> None:
        self.outcome = outcome
        self.wake()


class SubmitBatcher:
    """The submits that wait. Ask `next` for a request; say how it went before asking again."""

    def __init__(self) -> None:
        self._waiting: deque[PendingSubmit] = deque()
        self._again: deque[list[PendingSubmit]] = deque()  # parts of a refused request, in order
        self._sent: list[PendingSubmit] = []

    def put(self, submit: PendingSubmit) -> None:
        self._waiting.append(submit)

    def next(self) -> ApiRequest[list[str]] | None:
        """The request to send now; None when nothing waits."""
        while self._again or self._waiting:
            group = self._again.popleft() if self._again else self._gather()
            self._sent = [submit for submit in group if not submit.unwanted]
            if len(self._sent) == 1:
                return requests.submit_alone(self._sent[0].body, self._sent[0].key)
            if self._sent:
                return requests.submit_many([(submit.body, submit.key) for submit in self._sent])
        return None

    def answered(self, ids: Sequence[str]) -> None:
        """The request was a success."""
        sent, self._sent = self._sent, []
        if len(ids) != len(sent):
            error = ServerNotReached("", f"{len(sent)} tasks were sent and {len(ids)} answered")
            _fail(sent, error)
            return
        for submit, task_id in zip(sent, ids, strict=True):
            submit.settle(task_id)

    def refused(self, error: OqError) -> None:
        """The request was refused. Its cause gets the error; the other tasks are sent again."""
        sent, self._sent = self._sent, []
        match error:
            case InvalidBatch(problems=named) if any(index < len(sent) for index in named):
                self._part(sent, named)
            case InvalidTask() | PayloadTooLarge() | QueueFull() | ServerFault() if len(sent) > 1:
                # Too many at once, or one that nobody names: halves find out.
                middle = len(sent) // 2
                self._again.extendleft((sent[middle:], sent[:middle]))
            case QueueFull():  # if this one has no room, then those behind it have none
                behind = [submit for group in self._again for submit in group]
                self._again.clear()
                _fail([*sent, *behind], error)
            case _:
                _fail(sent, error)

    def close(self, error: OqError) -> None:
        """Nothing more is sent: tell all who still wait."""
        submits = [*self._sent, *(one for group in self._again for one in group), *self._waiting]
        self._sent = []
        self._again.clear()
        self._waiting.clear()
        _fail(submits, error)

    def _gather(self) -> list[PendingSubmit]:
        """The next letters, up to what one request may hold; at least one."""
        group = [self._waiting.popleft()]
        size = len(group[0].body)
        while self._waiting and len(group) < MOST_TASKS:
            size += len(self._waiting[0].body)
            if size > MOST_BYTES:
                break
            group.append(self._waiting.popleft())
        return group

    def _part(self, sent: list[PendingSubmit], named: Container[int]) -> None:
        """Send those that were not named together, and then each that was by itself: it is told
        then what it would have been told without the others.
        """
        rest = [submit for index, submit in enumerate(sent) if index not in named]
        lone = [[submit] for index, submit in enumerate(sent) if index in named]
        self._again.extendleft(reversed([rest, *lone]))


def _fail(submits: Sequence[PendingSubmit], error: OqError) -> None:
    for submit in submits:
        submit.settle(again(error))

"""Submitting many at once: which tasks go together in one request, and what becomes of each.

What comes while a request is in flight goes together in the next one. Nobody pays for his
neighbours: of a request that is refused because of some of its tasks, the others are sent again.
Nothing here does I/O.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Container, Sequence

from oq.client import calls
from oq.client.calls import Call
from oq.client.failures import again
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


class Letter:
    """One task to submit. `wake` is called once its `outcome` is known."""

    __slots__ = ("body", "key", "outcome", "unwanted", "wake")

    def __init__(self, body: bytes, key: str, wake: Callable[[], object]) -> None:
        self.body = body
        self.key = key
        self.wake = wake
        self.unwanted = False
        """Its sender has left: if it has not gone out yet, it never will."""
        self.outcome: str | OqError | None = None

    def settle(self, outcome: str | OqError) -> None:
        self.outcome = outcome
        self.wake()


class Outbox:
    """Letters on their way. Ask `next` for a request, and say how it went before asking again."""

    def __init__(self) -> None:
        self._waiting: deque[Letter] = deque()
        self._again: deque[list[Letter]] = deque()  # parts of a refused request, in order
        self._sent: list[Letter] = []

    def put(self, letter: Letter) -> None:
        self._waiting.append(letter)

    def next(self) -> Call[list[str]] | None:
        """The request to send now; None when nothing waits."""
        while self._again or self._waiting:
            group = self._again.popleft() if self._again else self._gather()
            self._sent = [letter for letter in group if not letter.unwanted]
            if len(self._sent) == 1:
                return calls.submit_alone(self._sent[0].body, self._sent[0].key)
            if self._sent:
                return calls.submit_many([(letter.body, letter.key) for letter in self._sent])
        return None

    def answered(self, ids: Sequence[str]) -> None:
        """The request was a success."""
        sent, self._sent = self._sent, []
        if len(ids) != len(sent):
            error = ServerNotReached("", f"{len(sent)} tasks were sent and {len(ids)} answered")
            _fail(sent, error)
            return
        for letter, task_id in zip(sent, ids, strict=True):
            letter.settle(task_id)

    def refused(self, error: OqError) -> None:
        """The request was not: those whom that concerns are told, the others sent again."""
        sent, self._sent = self._sent, []
        match error:
            case InvalidBatch(problems=named) if any(index < len(sent) for index in named):
                self._part(sent, named)
            case InvalidTask() | PayloadTooLarge() | QueueFull() if len(sent) > 1:
                # Too many at once, or one that nobody names: halves find out.
                middle = len(sent) // 2
                self._again.extendleft((sent[middle:], sent[:middle]))
            case QueueFull():  # if this one has no room, then those behind it have none
                behind = [letter for group in self._again for letter in group]
                self._again.clear()
                _fail([*sent, *behind], error)
            case _:
                _fail(sent, error)

    def close(self, error: OqError) -> None:
        """Nothing more is sent: tell all who still wait."""
        letters = [*self._sent, *(one for group in self._again for one in group), *self._waiting]
        self._sent = []
        self._again.clear()
        self._waiting.clear()
        _fail(letters, error)

    def _gather(self) -> list[Letter]:
        """The next letters, up to what one request may hold; at least one."""
        group = [self._waiting.popleft()]
        size = len(group[0].body)
        while self._waiting and len(group) < MOST_TASKS:
            size += len(self._waiting[0].body)
            if size > MOST_BYTES:
                break
            group.append(self._waiting.popleft())
        return group

    def _part(self, sent: list[Letter], named: Container[int]) -> None:
        """Send those that were not named together, and then each that was by itself: it is told
        then what it would have been told without the others.
        """
        rest = [letter for index, letter in enumerate(sent) if index not in named]
        lone = [[letter] for index, letter in enumerate(sent) if index in named]
        self._again.extendleft(reversed([rest, *lone]))


def _fail(letters: Sequence[Letter], error: OqError) -> None:
    for letter in letters:
        letter.settle(again(error))

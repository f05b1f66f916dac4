"""What the handlers share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import trio

from oq.http.metrics import Metrics
from oq.words.task import RawTask

if TYPE_CHECKING:
    from oq.queue import Queue


@dataclass
class Face:
    """The queue, and what only its HTTP side knows. One event loop owns it."""

    queue: Queue
    metrics: Metrics
    document: bytes
    """What `/openapi.json` answers."""
    subscribers: int = 0
    closing: bool = False
    _waits: set[trio.CancelScope] = field(default_factory=set)

    async def view(self, task_id: str, wait: float) -> RawTask:
        """The task, after at most `wait` seconds; sooner when it ends or the server closes."""
        if wait and not self.closing:
            with trio.CancelScope() as scope:
                self._waits.add(scope)
                try:
                    return await self.queue.view(task_id, wait)
                finally:
                    self._waits.discard(scope)
        return await self.queue.view(task_id)

    def end_waits(self) -> None:
        """Answer every request that waits for a task with how that task stands now."""
        self.closing = True
        for scope in tuple(self._waits):
            scope.cancel()

"""A pool without the other actors."""

from __future__ import annotations

import trio

from oq.actors.pool import Pool
from oq.actors.streams import Streams
from oq.backends.base import Backend
from oq.backends.simulated import SimulatedBackend
from oq.store import KeyValueLedger, MemoryEngine
from oq.words.clock import Clock
from oq.words.messages import Dispatch, Job
from oq.words.task import TaskState
from tests.support.builders import POLICY, new, task_id

SLOTS = 4
ROOM = 20
"""Messages that the channels hold."""


class Jobs:
    """A pool over a store in memory, and the channels to it and from it."""

    def __init__(self, backend: type[Backend] = SimulatedBackend) -> None:
        self.ledger = ledger = KeyValueLedger(MemoryEngine())
        self.store = ledger.store
        ledger.running_page.begin(SLOTS)
        self.to_pool, inbox = trio.open_memory_channel(ROOM)
        to_writer, self.commits = trio.open_memory_channel(ROOM)
        to_scheduler, self.freed = trio.open_memory_channel(ROOM)
        streams = Streams(lambda task_id, tokens: None, to_writer.clone(), ledger.stream)
        self.pool = Pool(
            ledger, {"b": backend("b")}, SLOTS, Clock(), POLICY, 60.0, 600.0, streams,
            inbox, to_writer, to_scheduler,
        )  # fmt: skip

    def dispatch(self, tasks: int = 1) -> None:
        """Have tasks 1 to `tasks` run."""
        numbers = range(1, tasks + 1)
        self.store.write([new(number) for number in numbers], tasks)
        dispatch = Dispatch([Job(task_id(number), "b") for number in numbers])
        for _ in numbers:
            self.to_pool.send_nowait(dispatch)

    def states(self) -> list[TaskState]:
        """The states to which the pool has brought tasks so far, in the order of its commits."""
        found = []
        while self.commits.statistics().current_buffer_used:
            found += [step.state for step in self.commits.receive_nowait().steps]
        return found

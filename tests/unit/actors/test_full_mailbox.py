"""When the writer takes nothing, whoever asks the scheduler for something is told so at once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from oq.actors.scheduler import Scheduler
from oq.rules.board import Board
from oq.rules.fifo import Fifo
from oq.rules.fleet import Fleet
from oq.rules.place import Place
from oq.rules.slots import BackendSlots
from oq.store import KeyValueLedger, MemoryEngine
from oq.words.clock import Clock
from oq.words.config import SchedulerConfig
from oq.words.errors import Busy
from oq.words.messages import BulkCommand, Command, Commit, Pause, Verb
from tests.support.builders import new, task_id


@asynccontextmanager
async def scheduler_before_a_full_mailbox() -> AsyncIterator[trio.MemorySendChannel]:
    """The channel to a scheduler that has tasks 1 and 2 in line; its backend is down."""
    ledger = KeyValueLedger(MemoryEngine())
    ledger.store.write([new(1), new(2)], 2)
    slots = [BackendSlots("b", 2)]
    slots[0].down = "connection refused"
    fleet = Fleet(slots)
    board = Board(2, fleet, Fifo(fleet, SchedulerConfig()), paused=False)
    board.load((task_id(number), Place(5, "m")) for number in (1, 2))
    to_scheduler, inbox = trio.open_memory_channel(10)
    to_writer, _full = trio.open_memory_channel[Commit](0)
    others = [trio.open_memory_channel(10)[0] for _ in range(3)]
    scheduler = Scheduler(board, ledger, Clock(), inbox, to_writer, *others, lambda _: 1.0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scheduler.run)
        with to_scheduler, trio.fail_after(10):
            yield to_scheduler
    assert [*board.in_line()] == [task_id(1), task_id(2)], "nothing has happened to them"


@pytest.mark.parametrize(
    "wish",
    [lambda: Command(Verb.CANCEL, task_id(1)), lambda: Pause(True)],
    ids=["cancel", "pause"],
)
async def test_a_wish_is_refused(wish):
    async with scheduler_before_a_full_mailbox() as to_scheduler:
        asked = wish()
        to_scheduler.send_nowait(asked)
        with pytest.raises(Busy):
            await asked.receipt.wait()


async def test_of_a_wish_about_many_each_is_refused():
    async with scheduler_before_a_full_mailbox() as to_scheduler:
        asked = BulkCommand(Verb.CANCEL, [task_id(1), task_id(2)])
        to_scheduler.send_nowait(asked)
        await asked.receipt.wait()
        assert [type(error) for error in asked.refused.values()] == [Busy, Busy]

"""Closing is the message: an actor whose mailbox is closed ends, and closes what it sends to."""

from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from oq.actors.monitor import Monitor
from oq.actors.timer import Timer
from oq.backends.simulated import SimulatedBackend
from oq.words.clock import Clock
from oq.words.errors import BackendDown
from oq.words.messages import Delay, Look
from oq.words.task import Status
from tests.support.builders import NOW, at, task_id

from .jobs import Jobs


async def assert_closed(channel: trio.MemoryReceiveChannel[object]) -> None:
    with pytest.raises(trio.EndOfChannel):
        await channel.receive()


async def test_the_timer_ends_though_something_is_still_delayed(autojump_clock):
    to_timer, inbox = trio.open_memory_channel[list[Delay]](1)
    to_scheduler, due = trio.open_memory_channel(1)
    timer = Timer(Clock(NOW.timestamp), inbox, to_scheduler, lambda delay: True)
    to_timer.send_nowait([Delay(task_id(1), at(3600))])
    to_timer.close()
    await timer.run()
    await assert_closed(due)


class DownBackend(SimulatedBackend):
    """Nobody answers there."""

    async def probe(self) -> None:
        raise BackendDown("connection refused")


async def test_the_monitor_ends_though_a_backend_is_down(autojump_clock):
    to_monitor, inbox = trio.open_memory_channel[Look](1)
    to_scheduler, told = trio.open_memory_channel(10)
    monitor = Monitor({"b": DownBackend("b")}, 1.0, inbox, to_scheduler)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(monitor.run)
        await to_monitor.send(Look("b", down=True))
        assert (await told.receive()).reason == "connection refused"
        await trio.sleep(10)  # it looks again and again
        to_monitor.close()
    await assert_closed(told)


async def test_the_pool_ends_when_what_runs_has_ended(autojump_clock):
    jobs = Jobs()
    jobs.dispatch()
    jobs.to_pool.close()
    with trio.fail_after(60):
        await jobs.pool.run()
    assert [state.status for state in jobs.states()] == [Status.RUNNING, Status.COMPLETED]


async def test_a_job_that_comes_after_the_pool_was_interrupted_goes_back_unrun(autojump_clock):
    jobs = Jobs()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(jobs.pool.run)
        await wait_all_tasks_blocked()
        jobs.pool.interrupt("oq was shut down")
        jobs.dispatch()
        with trio.fail_after(60):
            await jobs.freed.receive()
        jobs.to_pool.close()
    assert [state.status for state in jobs.states()] == [Status.RUNNING, Status.PENDING]

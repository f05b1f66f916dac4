"""Several workers are woken at once, and go on in any order."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from oq.backends.simulated import SimulatedBackend
from oq.words.messages import Abort
from oq.words.task import Status, TaskState
from tests.support.builders import task_id

from .jobs import SLOTS, Jobs

IDS = [task_id(number) for number in range(1, SLOTS + 1)]


@pytest.fixture(params=["as they were woken", "the other way round"])
def order(request, monkeypatch):
    """Trio shuffles which tasks go on first. Here it does not."""
    shuffles = request.param == "the other way round"
    draw = 0.0 if shuffles else 0.9
    monkeypatch.setattr(trio._core._run._r, "random", lambda: draw)


class Endless(SimulatedBackend):
    """What it is asked runs until it is stopped."""

    async def run(self, request, emit):
        await trio.sleep_forever()


@pytest.fixture(params=["at once", "after a while"])
def jobs(request):
    """Makes the pool. The ledger knows a task at once, or has to read it."""

    def make(*backend: type[SimulatedBackend]) -> Jobs:
        made = Jobs(*backend)
        if request.param == "after a while":
            made.ledger.state = _later(made.ledger.state)
        return made

    return make


def _later(read: Callable[[str], Awaitable[TaskState]]) -> Callable[[str], Awaitable[TaskState]]:
    async def state(task_id: str) -> TaskState:
        await trio.sleep(1.0)  # of the clock that jumps
        return await read(task_id)

    return state


@pytest.mark.usefixtures("order")
async def test_those_that_start_together_are_recorded_in_their_order(jobs, autojump_clock):
    jobs = jobs()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(jobs.pool.run)
        await wait_all_tasks_blocked()
        jobs.dispatch(SLOTS)
        jobs.to_pool.close()
    states = jobs.states()
    assert [state.id for state in states[:SLOTS]] == IDS
    assert [state.status for state in states] == [Status.RUNNING] * SLOTS + (
        [Status.COMPLETED] * SLOTS
    )


@pytest.mark.usefixtures("order")
@pytest.mark.parametrize("waiting", [True, False], ids=["workers wait", "workers start"])
async def test_what_is_to_stop_before_it_has_begun_stops(jobs, waiting, autojump_clock):
    jobs = jobs(Endless)
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(jobs.pool.run)
            if waiting:
                await wait_all_tasks_blocked()
            jobs.dispatch(SLOTS)
            for one in IDS:
                jobs.to_pool.send_nowait(Abort(one))
            jobs.to_pool.close()
    last = {state.id: state.status for state in jobs.states()}
    assert last == dict.fromkeys(IDS, Status.CANCELLED)


async def test_what_has_ended_is_not_stopped(autojump_clock):
    jobs = Jobs()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(jobs.pool.run)
        jobs.dispatch()
        await jobs.freed.receive()
        jobs.to_pool.send_nowait(Abort(IDS[0]))
        jobs.to_pool.close()
    assert [state.status for state in jobs.states()] == [Status.RUNNING, Status.COMPLETED]

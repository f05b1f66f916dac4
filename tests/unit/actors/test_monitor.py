"""What the monitor asks backends, and when its answer is the one that was asked for."""

from __future__ import annotations

import trio
from trio.testing import wait_all_tasks_blocked

from oq.actors.monitor import Monitor
from oq.backends.simulated import SimulatedBackend
from oq.words.messages import BackendSays, Look
from oq.words.views import BackendFacts


class Lists(SimulatedBackend):
    """Its list is read when it is asked, and arrives when `go` is called."""

    def __init__(self) -> None:
        super().__init__("b")
        self.has: tuple[str, ...] = ()
        self.asked = 0
        self._to_answers, self._answers = trio.open_memory_channel[None](10)

    def go(self) -> None:
        self._to_answers.send_nowait(None)

    async def facts(self, *, full: bool) -> BackendFacts:
        self.asked += 1
        has = self.has
        await self._answers.receive()
        return BackendFacts(models=has if full else None)


async def test_a_list_that_is_wanted_while_it_is_read_is_read_once_more(autojump_clock):
    backend = Lists()
    to_monitor, inbox = trio.open_memory_channel[Look](10)
    to_scheduler, told = trio.open_memory_channel[BackendSays](10)
    monitor = Monitor({"b": backend}, 1.0, inbox, to_scheduler)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(monitor.run)
        backend.go()
        assert (await told.receive()).full  # the first look, at the start
        to_monitor.send_nowait(Look("b", full=True))
        await wait_all_tasks_blocked()
        backend.has = ("pulled",)
        for _ in range(3):
            to_monitor.send_nowait(Look("b", full=True))
        await wait_all_tasks_blocked()
        backend.go()
        before = await told.receive()
        assert before.facts.models == ()
        assert not before.full, "who waits for the new list would take it for that"
        backend.go()
        after = await told.receive()
        assert after.facts.models == ("pulled",)
        assert after.full
        await wait_all_tasks_blocked()
        assert backend.asked == 3
        to_monitor.close()

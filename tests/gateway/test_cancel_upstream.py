"""A cancel reaches the model: the connection to the backend is closed at once."""

from __future__ import annotations

import pytest
import trio

from oq.backends.ollama import OllamaBackend
from oq.backends.openai import OpenAIBackend
from oq.backends.simulated import Script, Simulator
from oq.backends.simulated.server import serve_simulator
from oq.queue import open_queue
from oq.store import KeyValueLedger, MemoryEngine
from oq.words.config import Config
from oq.words.task import Status
from tests.support.queues import generate, until

AT_MOST = 1.0
"""Seconds until the backend hears of it: 5 ms where nothing else runs. What it was asked for would
take a minute and more."""

SCRIPTS = {
    "before the first token": Script(delay=60),
    "between two tokens": Script(rate=2, tokens=1000),
    "while it hangs": Script(fault="hang", at=2),
}


@pytest.mark.parametrize("when", SCRIPTS)
@pytest.mark.parametrize("kind", [OllamaBackend, OpenAIBackend])
async def test_cancelling_a_running_task_closes_the_connection_upstream(kind, when):
    simulator = Simulator()
    simulator.push(SCRIPTS[when])
    async with trio.open_nursery() as nursery:
        url = await nursery.start(serve_simulator, "127.0.0.1", 0, simulator)
        backend = kind("upstream", url)
        async with open_queue(
            Config(), backends=[backend], ledger=KeyValueLedger(MemoryEngine())
        ) as queue:
            task_id = await queue.submit(generate())
            await until(queue, task_id, Status.RUNNING)
            with trio.fail_after(5):
                call = await _asked(simulator)
            cancelled_at = trio.current_time()
            await queue.cancel(task_id)
            with trio.fail_after(5):
                await call.hung_up.wait()
            assert call.hung_up_at - cancelled_at <= AT_MOST
            task = await queue.get(task_id)
            assert (task.status, task.retry_count) == (Status.CANCELLED, 0)
            assert queue.status().workers_active == 0
        nursery.cancel_scope.cancel()
    assert len([call for call in simulator.calls if call.method == "POST"]) == 1


async def _asked(simulator: Simulator):
    """The first generation that the simulated server was asked for, once it was."""
    while True:
        for call in simulator.calls:
            if call.method == "POST":
                return call
        await trio.lowlevel.checkpoint()

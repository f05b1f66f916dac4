"""A task's start is on disk before its backend gets it: what then ends the process is counted."""

from __future__ import annotations

import signal
import sys

import trio

from oq.backends.simulated import SimulatedBackend
from oq.queue import open_queue
from oq.rules.filters import TaskFilter
from oq.store import MemoryEngine, Store
from oq.store.rocks import RocksEngine
from oq.words.config import to_config
from oq.words.errors import StoreFull
from oq.words.task import Status

from .queues import ended, generate, memory_queue

DEADLY = """
import os, signal, sys
import trio
from oq.backends.simulated import SimulatedBackend
from oq.queue import open_queue
from oq.store import Store
from oq.store.rocks import RocksEngine
from oq.words.config import to_config
from tests.queues import generate

class Deadly(SimulatedBackend):
    async def run(self, request, emit):
        os.kill(os.getpid(), signal.SIGKILL)

async def main():
    store = Store(RocksEngine(sys.argv[1]))
    async with open_queue(to_config({}), backends=[Deadly()], store=store) as queue:
        if sys.argv[2] == "submit":
            await queue.accept(generate(max_retries=1))
        await trio.sleep_forever()

trio.run(main)
"""


class Disk(MemoryEngine):
    """Keeps apart what is synced: what a power cut would leave."""

    def __init__(self) -> None:
        super().__init__()
        self.synced: dict[bytes, bytes] = {}
        self.full = False

    def write(self, batch):
        if self.full:
            raise StoreFull("no space left on the disk")
        super().write(batch)

    def sync(self, commit: int) -> None:
        self.synced = dict(self.scan("state", b"", b"\xff" * 17))


class Looking(SimulatedBackend):
    """Looks at the disk when it is called."""

    def __init__(self, disk: Disk) -> None:
        super().__init__()
        self.found: list[bool] = []
        self._disk = disk

    async def run(self, request, emit):
        [synced] = self._disk.synced.values()
        self.found.append(b"running" in synced)
        return await super().run(request, emit)


async def test_a_backend_gets_a_task_when_its_start_is_on_disk(autojump_clock):
    disk = Disk()
    backend = Looking(disk)
    async with memory_queue(disk, backend) as queue:
        accepted = await queue.accept(generate(simulate={"fault": "cut"}, max_retries=2))
        await ended(queue, accepted.task_id)
    assert backend.found == [True, True, True]


async def test_on_a_full_disk_nothing_starts_and_a_cancel_is_heard(autojump_clock):
    disk = Disk()
    backend = Looking(disk)
    async with memory_queue(disk, backend) as queue:
        await queue.pause()
        accepted = await queue.accept(generate(timeout=5))
        await queue.resume()
        disk.full = True
        await trio.sleep(60)
        assert backend.found == []
        disk.full = False
        task = await ended(queue, accepted.task_id)
        assert (task.status, len(task.attempts)) == (Status.COMPLETED, 1), "its time began late"


async def test_a_shutdown_does_not_wait_for_what_a_full_disk_holds_up(autojump_clock):
    disk = Disk()
    backend = Looking(disk)
    async with memory_queue(disk, backend) as queue:
        await queue.pause()
        await queue.accept(generate())
        await queue.resume()
        disk.full = True
        await trio.sleep(1)
        await queue.drain(0)
        closing = trio.current_time()
    assert trio.current_time() == closing, "nothing was left to wait for"
    assert backend.found == []


async def test_a_task_that_kills_oq_at_once_fails_as_poison(tmp_path):
    """Each death needs a process of its own."""
    for how in ("submit", "recover"):
        child = [sys.executable, "-c", DEADLY, str(tmp_path / "data"), how]
        done = await trio.run_process(child, check=False)
        assert done.returncode == -signal.SIGKILL
    store = Store(RocksEngine(tmp_path / "data"))
    async with open_queue(to_config({}), backends=[SimulatedBackend()], store=store) as queue:
        [task] = (await queue.page(TaskFilter())).tasks
        assert (task.status, task.error.split(":")[0]) == (Status.FAILED, "poison")

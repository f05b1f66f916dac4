"""A task that ends the process as soon as a backend has it is counted: no start is on disk yet."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest
import trio

from oq.backends.simulated import SimulatedBackend
from oq.queue import open_queue
from oq.queue.recovery import recover
from oq.rules.filters import TaskFilter
from oq.rules.stream_log import attempt_id
from oq.store import KeyValueLedger, MemoryEngine
from oq.store.rocks import RocksEngine
from oq.store.running_page import RunningPage
from oq.words.clock import Clock
from oq.words.config import to_config
from oq.words.outcome import Interrupted
from oq.words.task import Status
from tests.support.builders import at, finish, new, start, task_id
from tests.support.queues import ended, generate

ONE, OTHER = (f"01900000-0000-7000-8000-00000000000{digit}" for digit in "12")

DEADLY = """
import os, signal, sys
import trio
from oq.backends.simulated import SimulatedBackend
from oq.queue import open_queue
from oq.store import KeyValueLedger
from oq.store.rocks import RocksEngine
from oq.words.config import to_config
from tests.support.queues import generate

class Deadly(SimulatedBackend):
    async def run(self, request, emit):
        os.kill(os.getpid(), signal.SIGKILL)

class Disk(RocksEngine):
    # It keeps no start: as if the process had always ended before that was written.
    def write(self, batch):
        if not any(family == "status" and key[:1] == b"r" for family, key, _ in batch):
            super().write(batch)

async def main():
    ledger = KeyValueLedger(Disk(sys.argv[1]))
    async with open_queue(to_config({}), backends=[Deadly()], ledger=ledger) as queue:
        if sys.argv[2] == "submit":
            await queue.raw.submit(generate(max_retries=1))
        await trio.sleep_forever()

trio.run(main)
"""


@pytest.mark.slow
async def test_a_task_that_kills_oq_at_once_fails_as_poison(tmp_path):
    """Each death needs a process of its own."""
    for how in ("submit", "recover"):
        child = [sys.executable, "-c", DEADLY, str(tmp_path / "data"), how]
        done = await trio.run_process(child, check=False)
        assert done.returncode == -signal.SIGKILL
    ledger = KeyValueLedger(RocksEngine(tmp_path / "data"))
    async with open_queue(to_config({}), backends=[SimulatedBackend()], ledger=ledger) as queue:
        [task] = (await queue.raw.list(TaskFilter())).tasks
        assert (task.status, task.error.split(":")[0]) == (Status.FAILED, "poison")
        assert len(task.attempts) == 2


@pytest.mark.parametrize("back", [0, 3600])
async def test_deaths_are_counted_whatever_the_clock_was_set_to(back):
    """Each one comes before its start is on disk; a start that fails behind recovery counts it no
    second time."""
    ledger = KeyValueLedger(MemoryEngine())
    submitted = new(1, max_retries=2)
    begun = start(submitted.state)
    put_back = finish(begun.state, Interrupted("oq was shut down"))
    for change in (submitted, begun, put_back):
        await ledger.commit([change], 0)
    for death in (1, 2, 3):
        started_at = at(death - back)
        ledger.running_page.left = ((task_id(1), attempt_id(started_at)),)
        for _ in range(2):
            await recover(ledger, Clock(at(death - back).timestamp), ended_by_oq=False)
        state = await ledger.state(task_id(1))
        assert (state.deaths, len(state.attempts)) == (death, 1 + death)
    assert state.status is Status.FAILED


async def test_what_has_ended_is_in_nobodys_hand(tmp_path):
    ledger = KeyValueLedger(RocksEngine(tmp_path / "data"))
    async with open_queue(to_config({}), backends=[SimulatedBackend()], ledger=ledger) as queue:
        await ended(queue, (await queue.raw.submit(generate())).task_id)
        assert RunningPage(tmp_path / "data" / "in-hand").left == ()


def test_the_page_tells_the_next_process_what_was_in_hand(tmp_path):
    page = RunningPage(tmp_path / "in-hand")
    page.begin(2)
    page.add(ONE, 1)
    page.add(OTHER, 2)
    page.discard(ONE)
    assert RunningPage(tmp_path / "in-hand").left == ((OTHER, 2),)
    page.add(ONE, 3)
    after = RunningPage(tmp_path / "in-hand")
    assert sorted(after.left) == [(ONE, 3), (OTHER, 2)]
    after.begin(1)
    assert RunningPage(tmp_path / "in-hand").left == ()


def test_a_machine_that_stopped_is_no_tasks_doing(tmp_path):
    file = tmp_path / "in-hand"
    page = RunningPage(file)
    page.begin(1)
    page.add(ONE, 1)
    content = file.read_bytes()
    file.write_bytes(b"another boot".ljust(64, b"\0") + content[64:])
    assert RunningPage(file).left == ()


@pytest.mark.parametrize("content", [b"", b"x", bytes(64), bytes(200)])
def test_a_page_that_says_nothing_is_none(tmp_path, content):
    file = tmp_path / "in-hand"
    file.write_bytes(content)
    assert RunningPage(file).left == ()


def test_no_flipped_bit_blames_another_task_or_keeps_oq_from_starting(tmp_path):
    file, content = page_of_two(tmp_path)
    for bit in range(8 * len(content)):
        bad = bytearray(content)
        bad[bit // 8] ^= 1 << bit % 8
        file.write_bytes(bad)
        assert set(RunningPage(file).left) < {(ONE, 1), (OTHER, 2)}


def test_a_record_that_was_half_written_is_passed_over(tmp_path):
    """Whichever end is written first, and whether it is filled or emptied."""
    file, content = page_of_two(tmp_path)
    begin, end = 64, 64 + (len(content) - 64) // 2
    other = RunningPage(file).left[1:]
    for cut in range(begin + 1, end - 1):
        for lost in (slice(begin, cut), slice(cut, end)):
            torn = bytearray(content)
            torn[lost] = bytes(len(torn[lost]))
            file.write_bytes(torn)
            assert RunningPage(file).left == other


def test_the_page_of_an_older_oq_says_nothing(tmp_path):
    """Its records had no checksum."""
    file, content = page_of_two(tmp_path)
    boot_id = content[:64].split(b" ")[0].ljust(64, b"\0")
    file.write_bytes(boot_id + ONE.encode() + (1).to_bytes(8, "big"))
    assert RunningPage(file).left == ()


def page_of_two(directory: Path) -> tuple[Path, bytes]:
    """A file that has two tasks in hand, and no room for more."""
    file = directory / "in-hand"
    page = RunningPage(file)
    page.begin(2)
    page.add(ONE, 1)
    page.add(OTHER, 2)
    page.close()
    return file, file.read_bytes()


def test_a_forked_child_takes_nothing_out_of_its_parents_hand(tmp_path):
    page = RunningPage(tmp_path / "in-hand")
    page.begin(1)
    page.add(ONE, 1)
    child = os.fork()
    if not child:
        page.leave_to_parent()
        page.clear()
        os._exit(0)
    os.waitpid(child, 0)
    assert RunningPage(tmp_path / "in-hand").left == ((ONE, 1),)

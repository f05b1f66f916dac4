"""The power is cut a hundred times while the queue works, and what was promised is still true.

Each chain of cuts goes on with the directory that the last one left.
"""

from __future__ import annotations

import random
import re
from contextlib import nullcontext

import pytest
import trio

from oq.store import Store, rocks
from oq.words.errors import Conflict, StoreCorrupt
from oq.words.receipts import Receipt
from tests.crash.chain import SMALL_BUFFER, Chain, in_memory
from tests.crash.chance import seeded
from tests.crash.power import Disk, Moment, Plug, PowerCut, PowerEngine, Tear, UnsyncedEngine, leave
from tests.support.builders import new, task_id

CHAINS = 10
CUTS = 10
CUTS_OF_A_MUTANT = 30
CHANCE = random.Random(3053233776)
PROMISE = re.compile("acknowledged, but gone|told as ended|not cancelled|was acknowledged")
"""What is said of a promise that was not kept."""


@pytest.fixture
def directory(tmp_path):
    with in_memory(tmp_path) as made:
        yield made / "data"


@pytest.mark.parametrize("number", range(CHAINS))
async def test_a_power_cut_takes_nothing_that_was_promised(number, directory, monkeypatch):
    if number % 2:
        monkeypatch.setattr(rocks, "WRITE_BUFFER", SMALL_BUFFER)
    chain = Chain(directory, seeded(), list(Tear))
    for cut in range(CUTS):
        await chain.cut(cut)
    await chain.finish()
    assert chain.torn > 0
    assert len(chain.ledger.prompts) > 50
    assert len(chain.ledger.ended) > 10


@pytest.mark.parametrize("kind", list(Tear))
def test_the_harness_tears_what_was_not_synced_and_nothing_else(directory, kind):
    """The first task is synced, the second is being synced when the power goes."""
    disk, left = Disk(), []
    plug = Plug(2, Moment.WRITTEN, lambda: left.append(leave(directory, disk, CHANCE, [kind])))
    store = Store(PowerEngine(directory, disk, plug))
    for number in (1, 2):
        store.write([new(number, prompt="x" * 5000)], 0)
        with pytest.raises(PowerCut) if number == 2 else nullcontext():
            store.sync()
    store.close()
    ((after, unsynced),) = left
    assert unsynced > 5000
    reopened = Store(rocks.RocksEngine(after))
    assert reopened.state(task_id(1)) is not None
    reopened.close()


def test_with_a_small_buffer_a_life_has_more_than_one_log(directory, monkeypatch):
    """So half of the chains cut the power between a log and the next."""
    monkeypatch.setattr(rocks, "WRITE_BUFFER", SMALL_BUFFER)
    disk = Disk()
    store = Store(PowerEngine(directory, disk, Plug(10**9, Moment.SYNCED, lambda: None)))
    for number in range(2 * SMALL_BUFFER // 1000):
        store.write([new(number, prompt="x" * 1000)], 0)
        store.sync()
    store.close()
    assert len(disk.logs) > 1


async def answer_without_waiting(self: Receipt) -> None:
    """The mutant of `Receipt.wait`."""
    await trio.lowlevel.checkpoint()


async def first_broken_promise(chain: Chain) -> str:
    for cut in range(CUTS_OF_A_MUTANT):
        try:
            await chain.cut(cut)
        except (AssertionError, StoreCorrupt) as error:
            return str(error)
        except Conflict:
            continue  # a mutant that does not wait cancels tasks that are not there yet
    return ""


async def test_the_harness_catches_a_store_that_does_not_sync(directory):
    chain = Chain(directory, seeded(), [Tear.PREFIX], engine=UnsyncedEngine)
    assert PROMISE.search(await first_broken_promise(chain))


async def test_the_harness_catches_answers_that_do_not_wait_for_the_sync(directory, monkeypatch):
    monkeypatch.setattr(Receipt, "wait", answer_without_waiting)
    chain = Chain(directory, seeded(), [Tear.PREFIX])
    assert PROMISE.search(await first_broken_promise(chain))

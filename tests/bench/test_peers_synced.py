"""oq's durability as the comparison with its peers reads it back."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.embedded import queue
from bench.payload import new_task
from bench.peers.ours import measure
from bench.peers.synced import TRIED, durability, flushes
from bench.scenario import NotMeasured
from oq.backends.simulated import NoopBackend
from oq.store.rocks import RocksEngine

KEPT = f"{TRIED} of {TRIED} acknowledgements after a sync"


async def test_the_queue_says_of_itself_that_it_syncs_before_it_answers():
    async with queue(NoopBackend()) as (opened, _):
        await opened.pause()
        data = Path(opened.config.queue.storage_path)
        assert (await durability(data, lambda: opened.submit(new_task()))).startswith(KEPT)


async def test_a_queue_that_answers_first_is_not_compared(monkeypatch):
    monkeypatch.setattr(RocksEngine, "sync", lambda self, commit: None)
    async with queue(NoopBackend()) as (opened, _):
        await opened.pause()
        data = Path(opened.config.queue.storage_path)
        with pytest.raises(NotMeasured, match=f"only 0 of {TRIED} acknowledgements after a sync"):
            await durability(data, lambda: opened.submit(new_task()))


async def test_the_daemon_is_asked_before_it_ends():
    found = await measure("http", 0.01, 1, None)
    assert found["durability"].startswith(KEPT)
    assert found["figures"].keys() == {"end_to_end_single", "end_to_end_concurrent"}


def test_flushes_of_what_is_no_disk_are_not_known():
    assert flushes(Path("/proc")) is None

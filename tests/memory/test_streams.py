"""Readers of streams, many and slow: what they wait for is there once, and not once for each."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from .child import MB, Measured
from .readers import Slow, get
from .talker import answer, talker

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")

READERS = 40
SIZE = 8 * MB
SOME = 1000
"""Bytes: who has taken them has been given more than it takes at once."""
ROOM = 160 * MB
"""For the answer itself, its fold, its records, and what RocksDB keeps of them. A copy for each of
the readers would be 320 MB, and there are two rounds of them.
"""


@pytest.mark.parametrize("chunk", [4096, SIZE], ids=["many chunks", "one chunk"])
@pytest.mark.parametrize("accept", ["Accept: */*", "Accept: text/event-stream"])
def test_slow_readers_of_a_task_that_runs_and_of_one_that_has_ended(
    tmp_path: Path, chunk: int, accept: str
):
    said = answer(chunk, SIZE // chunk)
    with (
        talker(said, hold=True) as (where, add_mark),
        Measured(tmp_path / "data", where) as oq,
    ):
        before = oq.takes()
        task_id = oq.submit()
        asked = [get(f"/api/tasks/{task_id}/stream", accept)] * READERS
        with Slow(oq.url, asked) as early:
            early.wait_all(SOME)
            add_mark.set()
            assert oq.end(task_id) == "completed"
            with Slow(oq.url, asked) as late:
                late.wait_all(SOME)
        taken = oq.took() - before
    assert taken < ROOM, f"{taken / MB:.0f} MB"

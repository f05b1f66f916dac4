"""Clients that ask for long results and do not read them: what they wait for is there once, and
many results do not take more than they may.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from .child import MB, Measured
from .readers import Slow, get
from .talker import answer, talker

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")

READERS = 40
UNSENT = 32 * MB
RESULTS = 30
CONFIG = f"""\
queue: {{max_workers: 2}}
server: {{max_unsent_bytes: {UNSENT}}}
"""
SIZE = 8 * MB
ROOM = 120 * MB
"""For the answer as it is made and stored, and as it is sent. A copy for each reader would be
320 MB."""


def test_results_that_nobody_reads(tmp_path: Path):
    with (
        talker(answer(4096, SIZE // 4096)) as (where, _),
        Measured(tmp_path / "data", where) as oq,
    ):
        before = oq.takes()
        task_id = oq.submit()
        assert oq.end(task_id) == "completed"
        with Slow(oq.url, [get(f"/api/tasks/{task_id}")] * READERS) as readers:
            readers.wait_all(1000)
        taken = oq.took() - before
        assert len(oq.call("GET", f"/api/tasks/{task_id}")) > SIZE
    assert taken < ROOM, f"{taken / MB:.0f} MB"


@pytest.mark.parametrize("more", ["Accept: */*", "X-Odd:\t1"], ids=["fast", "ordinary"])
def test_many_results_that_nobody_reads(tmp_path: Path, more: str):
    with (
        talker(answer(4096, SIZE // 4096)) as (where, _),
        Measured(tmp_path / "data", where, CONFIG) as oq,
    ):
        ids = [oq.submit() for _ in range(RESULTS)]
        assert {oq.end(task_id) for task_id in ids} == {"completed"}
        before = oq.takes()
        with Slow(oq.url, [get(f"/api/tasks/{task_id}", more) for task_id in ids]) as readers:
            readers.wait_all(1000)
            taken = oq.takes() - before
            # They keep out nobody who reads.
            assert len(oq.call("GET", f"/api/tasks/{ids[0]}")) > SIZE
    assert taken < UNSENT + ROOM, f"{taken / MB:.0f} MB"

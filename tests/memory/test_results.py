"""Clients that ask for a long result and do not read it: what they wait for is there once."""

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

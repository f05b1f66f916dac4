"""One long answer: how often it is in memory as it is made and read, and once it has ended."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from .child import MB, Measured
from .talker import answer, talker

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")

SIZE = 32 * MB
MOST = 7.5
"""Times the answer, at its end: what was generated and what it came to, each in oq's hands, in the
batch for RocksDB, and in RocksDB's memory; and a rest for what is decoded of it."""
KEPT = 4.5
"""Times the answer, afterwards: the two in RocksDB's memory, until more is written, and holes."""


@pytest.mark.parametrize(
    ("chunk", "stream"),
    [(4096, None), (SIZE, None), (4096, False)],
    ids=["a task of many chunks", "a task of one chunk", "a call that does not stream"],
)
def test_a_long_answer(tmp_path: Path, chunk: int, stream: bool | None):
    with (
        talker(answer(chunk, SIZE // chunk)) as (where, _),
        Measured(tmp_path / "data", where) as oq,
    ):
        before = oq.takes()
        if stream is None:
            task_id = oq.submit()
            assert oq.end(task_id) == "completed"
            kept = oq.takes() - before
            said = oq.call("GET", f"/api/tasks/{task_id}")
        else:
            call = {"model": "m", "prompt": "hello", "stream": stream}
            said = oq.call("POST", "/api/generate", call)
            kept = oq.takes() - before
        took = oq.took() - before
    assert len(said) > SIZE
    assert took < MOST * SIZE, f"{took / MB:.0f} MB"
    assert kept < KEPT * SIZE, f"{kept / MB:.0f} MB"

"""One long answer: how often it is in memory as it is made and read, and once it has ended."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from .child import MB, Measured
from .talker import answer, talker

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")

SIZE = 32 * MB
FOLDED = 2
"""Times the answer, at its end: what it came to, and that once more as it is encoded."""
ROCKS = 64 * MB
"""For RocksDB's memory, of two families 4 MB each, and what was freed and stays in the heap."""
UNWRITTEN = SIZE
"""What is not written yet: a backend is not slowed down when the disk is slower than it."""
CHUNK = 3 * SIZE
"""More for an answer that is one chunk: it is generated and written at once."""


@pytest.mark.parametrize(
    ("chunk", "stream", "most"),
    [
        (4096, None, FOLDED * SIZE + ROCKS + UNWRITTEN),
        (1024, None, FOLDED * SIZE + ROCKS + UNWRITTEN),
        (SIZE, None, FOLDED * SIZE + ROCKS + CHUNK),
        (4096, False, FOLDED * SIZE + ROCKS + UNWRITTEN),
    ],
    ids=[
        "a task of many chunks", "a task of very many chunks", "a task of one chunk",
        "a call that does not stream",
    ],
)  # fmt: skip
def test_a_long_answer(tmp_path: Path, chunk: int, stream: bool | None, most: int):
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
    assert took < most, f"{took / MB:.0f} MB"
    assert kept < ROCKS + SIZE, f"{kept / MB:.0f} MB"

"""What a server that has stored many results keeps of them in memory: less than it has stored."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from .child import MB, Measured
from .talker import answer, talker

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")

SIZE = MB // 4
AT_ONCE = 16
ROUNDS = 16
ROOM = 24 * MB
"""For a memtable, the one before it while that is written to a table, and holes in the heap: 64 MB
are stored.
"""


def test_what_is_stored_leaves_the_memory(tmp_path: Path):
    tasks = [{"type": "generate", "model": "m", "payload": {"prompt": "hello"}}] * AT_ONCE
    with (
        talker(answer(4096, SIZE // 4096)) as (where, _),
        Measured(tmp_path / "data", where) as oq,
    ):
        taken = []
        for _ in range(ROUNDS):
            ids = oq.submit_many(tasks)
            assert {oq.end(task_id) for task_id in ids} == {"completed"}
            taken.append(oq.takes())
    grown = max(taken) - taken[0]
    assert grown < ROOM, [f"{each / MB:.0f} MB" for each in taken]

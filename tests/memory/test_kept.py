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
ROUNDS = 32
QUARTER = ROUNDS // 4
ROOM = 24 * MB
"""For a memtable, the one before it while that is written to a table, and holes in the heap. From
the second quarter to the last one 64 MB are stored, at least.
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
    # The first rounds make the heap as large as such rounds need it: on a busy machine more of each
    # is in memory at once.
    grown = min(taken[-QUARTER:]) - min(taken[QUARTER : 2 * QUARTER])
    assert grown < ROOM, " ".join(f"{each // MB}" for each in taken)

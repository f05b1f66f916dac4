"""What is decided does not depend on the order in which a process goes through a set."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
FIRST, LAST = 200, 280
"""Traces of which two came out otherwise under another seed, when a list of models was a set."""


def histories(seed: int) -> subprocess.Popen[str]:
    """The replays under this seed of Python's hashes."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.unit.plan.histories", str(FIRST), str(LAST)],
        cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": str(seed)},
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_replays_are_the_same_under_two_hash_seeds():
    one, other = [run.communicate()[0].splitlines() for run in (histories(1), histories(2))]
    assert len(one) == len(other) == LAST - FIRST
    differ = [mine.split()[0] for mine, theirs in zip(one, other, strict=True) if mine != theirs]
    assert differ == []

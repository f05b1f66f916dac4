"""Chance that can be repeated: the same at each run, unless OQ_SEED says otherwise."""

from __future__ import annotations

import os
import random
import sys

SEED = 7125


def seeded() -> random.Random:
    """A source of chance; a failing test shows with which seed it began."""
    seed = int(os.environ.get("OQ_SEED") or SEED)
    sys.stdout.write(f"OQ_SEED={seed}\n")
    return random.Random(seed)

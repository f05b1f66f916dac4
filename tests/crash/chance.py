"""Chance that can be repeated: a failing test shows its seed, and OQ_SEED=... plays it again."""

from __future__ import annotations

import os
import random
import sys


def seeded() -> random.Random:
    """A source of chance, new at every call unless OQ_SEED is set."""
    seed = int(os.environ.get("OQ_SEED") or random.SystemRandom().getrandbits(32))
    sys.stdout.write(f"OQ_SEED={seed}\n")
    return random.Random(seed)

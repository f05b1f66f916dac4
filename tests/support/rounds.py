"""A test of very many drawn examples, in rounds.

Hypothesis remembers all examples of a run, so one of 100,000 gets slower and slower, and fills
memory. Ten rounds take ten times as long as one, and can run side by side.
"""

from __future__ import annotations

from collections.abc import Callable
from os import environ
from typing import Any

import pytest
from hypothesis import given, seed, settings
from hypothesis.strategies import SearchStrategy

MUTANTS = int(environ.get("OQ_MUTANTS", "400"))
"""How many examples each test of odd bytes draws in all."""
ROUND = 2000
"""Of these, at most so many in one round."""

in_rounds = pytest.mark.parametrize("number", range(-(-MUTANTS // ROUND)))
"""Runs a test once for each round, and tells it which it is."""


def draw(number: int, check: Callable[..., None], *strategies: SearchStrategy[Any]) -> None:
    """Have `check` look at the examples of a round. The same number draws the same ones again, but
    with `--hypothesis-profile=explore`.
    """
    examples = min(ROUND, MUTANTS - number * ROUND)
    run = settings(max_examples=examples, database=None)(given(*strategies)(check))
    if settings().derandomize:
        run = seed(number)(run)
    run()
